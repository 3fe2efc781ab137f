/*
 * What Linux says about descriptors that the runtime has no call for: where data lies (SEEK_DATA, SEEK_HOLE), how large
 * a device is, how to clear a range without sending zeroes (BLKZEROOUT, fallocate), and which process connected to a
 * socket (SO_PEERCRED).
 * An N-API addon: quick calls answer at once, the ones that may take seconds run on the thread pool and give a promise.
 * Descriptors stay the caller's: keep them open until the promise settles.
 *
 * Every error carries `code`, the errno's name. Offsets and lengths are bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <node_api.h>

/* The largest integer a JavaScript number holds exactly. */
#define OFFSET_MAX 9007199254740991LL

static const char *errno_name(int number) {
  switch (number) {
    case EBADF: return "EBADF";
    case EBUSY: return "EBUSY";
    case EFBIG: return "EFBIG";
    case EINTR: return "EINTR";
    case EINVAL: return "EINVAL";
    case EIO: return "EIO";
    case ENODATA: return "ENODATA";
    case ENODEV: return "ENODEV";
    case ENOSPC: return "ENOSPC";
    case ENOPROTOOPT: return "ENOPROTOOPT";
    case ENOSYS: return "ENOSYS";
    case ENOTSOCK: return "ENOTSOCK";
    case ENOTTY: return "ENOTTY";
    case ENXIO: return "ENXIO";
    case EOPNOTSUPP: return "EOPNOTSUPP";
    case EPERM: return "EPERM";
    case EREMOTEIO: return "EREMOTEIO";
    case EROFS: return "EROFS";
    case ESPIPE: return "ESPIPE";
    default: return "UNKNOWN";
  }
}

static napi_value throw_errno(napi_env env, int number) {
  napi_throw_error(env, errno_name(number), strerror(number));
  return NULL;
}

/* Reads `count` integers from the arguments; throws a TypeError and gives 0 when one is missing, negative or not a number. */
static int read_integers(napi_env env, napi_callback_info info, size_t count, int64_t *out) {
  napi_value arguments[4];
  size_t given = 4;
  if (napi_get_cb_info(env, info, &given, arguments, NULL, NULL) != napi_ok || given < count) {
    napi_throw_type_error(env, "EINVAL", "too few arguments");
    return 0;
  }
  for (size_t i = 0; i < count; i++) {
    if (napi_get_value_int64(env, arguments[i], &out[i]) != napi_ok || out[i] < 0 || out[i] > OFFSET_MAX) {
      napi_throw_type_error(env, "EINVAL", "an argument is not a non-negative integer");
      return 0;
    }
  }
  return 1;
}

static napi_value seek(napi_env env, napi_callback_info info, int whence) {
  int64_t arguments[2];
  if (!read_integers(env, info, 2, arguments)) return NULL;
  off_t found = lseek((int)arguments[0], (off_t)arguments[1], whence);
  /* ENXIO: nothing of the kind from here to the end. */
  if (found < 0 && errno != ENXIO) return throw_errno(env, errno);
  napi_value result;
  napi_create_int64(env, found < 0 ? -1 : (int64_t)found, &result);
  return result;
}

/* seekData(fd, offset): the first byte of data at or after offset, or -1. Moves the descriptor's position. */
static napi_value seek_data(napi_env env, napi_callback_info info) { return seek(env, info, SEEK_DATA); }

/* seekHole(fd, offset): the first byte of a hole at or after offset (the end counts as one), or -1. */
static napi_value seek_hole(napi_env env, napi_callback_info info) { return seek(env, info, SEEK_HOLE); }

/* deviceSize(fd): size of a block device. */
static napi_value device_size(napi_env env, napi_callback_info info) {
  int64_t fd;
  if (!read_integers(env, info, 1, &fd)) return NULL;
  uint64_t size = 0;
  if (ioctl((int)fd, BLKGETSIZE64, &size) != 0) return throw_errno(env, errno);
  napi_value result;
  napi_create_int64(env, (int64_t)size, &result);
  return result;
}

static void set_integer(napi_env env, napi_value object, const char *name, int64_t value) {
  napi_value number;
  napi_create_int64(env, value, &number);
  napi_set_named_property(env, object, name, number);
}

/*
 * peerCredentials(fd): {pid, uid, gid} of the process that connected to a unix socket, as they were then. What the
 * kernel cannot tell (a socket that is no unix socket) comes as uid and gid of all ones, which are nobody's: ENODATA.
 */
static napi_value peer_credentials(napi_env env, napi_callback_info info) {
  int64_t fd;
  if (!read_integers(env, info, 1, &fd)) return NULL;
  struct ucred credentials;
  socklen_t size = sizeof credentials;
  if (getsockopt((int)fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return throw_errno(env, errno);
  if (size != sizeof credentials || credentials.uid == (uid_t)-1) return throw_errno(env, ENODATA);
  napi_value result;
  napi_create_object(env, &result);
  set_integer(env, result, "pid", credentials.pid);
  set_integer(env, result, "uid", credentials.uid);
  set_integer(env, result, "gid", credentials.gid);
  return result;
}

enum clearing { CLEAR_DEVICE_ZERO, CLEAR_FILE_PUNCH };

struct clear_job {
  enum clearing how;
  int fd;
  uint64_t range[2];
  int error;
  napi_deferred deferred;
  napi_async_work work;
};

static void clear_execute(napi_env env, void *data) {
  (void)env;
  struct clear_job *job = data;
  int result = -1;
  do {
    switch (job->how) {
      case CLEAR_DEVICE_ZERO: result = ioctl(job->fd, BLKZEROOUT, job->range); break;
        case CLEAR_FILE_PUNCH:
        result = fallocate(job->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)job->range[0], (off_t)job->range[1]);
        break;
    }
  } while (result != 0 && errno == EINTR);
  job->error = result == 0 ? 0 : errno;
}

static void clear_complete(napi_env env, napi_status status, void *data) {
  struct clear_job *job = data;
  napi_value value;
  if (status == napi_ok && job->error == 0) {
    napi_get_undefined(env, &value);
    napi_resolve_deferred(env, job->deferred, value);
  } else {
    int number = job->error != 0 ? job->error : EINTR;
    napi_value code, message;
    napi_create_string_utf8(env, errno_name(number), NAPI_AUTO_LENGTH, &code);
    napi_create_string_utf8(env, strerror(number), NAPI_AUTO_LENGTH, &message);
    napi_create_error(env, code, message, &value);
    napi_reject_deferred(env, job->deferred, value);
  }
  napi_delete_async_work(env, job->work);
  free(job);
}

static napi_value clear_start(napi_env env, napi_callback_info info, enum clearing how) {
  int64_t arguments[3];
  if (!read_integers(env, info, 3, arguments)) return NULL;
  struct clear_job *job = calloc(1, sizeof *job);
  if (job == NULL) return throw_errno(env, ENOSPC);
  job->how = how;
  job->fd = (int)arguments[0];
  job->range[0] = (uint64_t)arguments[1];
  job->range[1] = (uint64_t)arguments[2];
  napi_value promise, name;
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok) {
    free(job);
    return throw_errno(env, EINVAL);
  }
  napi_create_string_utf8(env, "sternway clear range", NAPI_AUTO_LENGTH, &name);
  if (napi_create_async_work(env, NULL, name, clear_execute, clear_complete, job, &job->work) != napi_ok ||
      napi_queue_async_work(env, job->work) != napi_ok) {
    free(job);
    return throw_errno(env, EINVAL);
  }
  return promise;
}

/* zeroDevice(fd, offset, length): the range of a block device reads as zeroes afterwards. Multiples of its sector size. */
static napi_value zero_device(napi_env env, napi_callback_info info) { return clear_start(env, info, CLEAR_DEVICE_ZERO); }

/* punchFile(fd, offset, length): the range of a file becomes a hole and reads as zeroes. */
static napi_value punch_file(napi_env env, napi_callback_info info) { return clear_start(env, info, CLEAR_FILE_PUNCH); }

static void export_function(napi_env env, napi_value exports, const char *name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &function);
  napi_set_named_property(env, exports, name, function);
}

NAPI_MODULE_INIT() {
  export_function(env, exports, "seekData", seek_data);
  export_function(env, exports, "seekHole", seek_hole);
  export_function(env, exports, "deviceSize", device_size);
  export_function(env, exports, "peerCredentials", peer_credentials);
  export_function(env, exports, "zeroDevice", zero_device);
  export_function(env, exports, "punchFile", punch_file);
  return exports;
}
