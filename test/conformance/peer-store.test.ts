/** The contract of tiers/store.ts on another appliance. */
import { expect } from "bun:test";
import { storeSuite } from "../support/store-suite.ts";
import { openPeerBed } from "../support/peer-bed.ts";

storeSuite("PeerStore", {
  async on(body) {
    await using bed = await openPeerBed();
    const { token } = await bed.received.add("web", undefined);
    await body({ open: () => bed.store("web", token) });
    await bed.stopListening();
    expect(bed.disk.descriptorCount).toBe(0);
  },
});
