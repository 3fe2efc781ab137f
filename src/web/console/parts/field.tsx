/** Fields of forms: each with its label, a hint where its meaning is not plain, and its own error. */
import type { ComponentChildren, InputHTMLAttributes, TargetedEvent } from "preact";
import { useId } from "preact/hooks";

export interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  /** What is wrong with what was entered. */
  error?: string | undefined;
}

/** What ties an input to its label, hint and error. */
export interface FieldIds {
  id: string;
  "aria-describedby": string | undefined;
  "aria-invalid": "true" | undefined;
}

/** The frame of a field around any input. */
export function Field({
  label,
  hint,
  error,
  children,
}: FieldProps & { children: (ids: FieldIds) => ComponentChildren }) {
  const id = useId();
  const described = [hint === undefined ? "" : `${id}-hint`, error === undefined ? "" : `${id}-error`].filter(Boolean);
  return (
    <div class="field">
      <label class="field-label" for={id}>
        {label}
      </label>
      {children({
        id,
        "aria-describedby": described.length === 0 ? undefined : described.join(" "),
        "aria-invalid": error === undefined ? undefined : "true",
      })}
      {hint !== undefined && (
        <span class="field-hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {error !== undefined && (
        <span class="field-error" id={`${id}-error`} role="alert">
          {error}
        </span>
      )}
    </div>
  );
}

export interface TextFieldProps extends FieldProps {
  value: string;
  onInput: (value: string) => void;
  type?: "text" | "password" | "email" | "url" | "number" | "date" | "datetime-local" | "time" | "search";
  autocomplete?: string;
  inputMode?: "text" | "numeric" | "decimal" | "email" | "url";
  placeholder?: string;
  required?: boolean;
  disabled?: boolean;
  autofocus?: boolean;
  mono?: boolean;
  min?: number | string;
  max?: number | string;
  maxLength?: number;
}

export function TextField({ label, hint, error, value, onInput, mono, ...rest }: TextFieldProps) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(ids) => {
        const attributes = {
          ...ids,
          ...rest,
          class: mono === true ? "input mono" : "input",
          value,
          spellcheck: false,
          autocapitalize: "none",
          onInput: (event: TargetedEvent<HTMLInputElement>) => onInput(event.currentTarget.value),
        };
        // Preact's types tie each kind of input to attributes of its own, which a kind that is chosen later cannot meet.
        return <input {...(attributes as InputHTMLAttributes<HTMLInputElement>)} />;
      }}
    </Field>
  );
}

export interface AreaFieldProps extends FieldProps {
  value: string;
  onInput: (value: string) => void;
  rows?: number;
  maxLength?: number;
  placeholder?: string;
}

/** Several lines. */
export function AreaField({ label, hint, error, value, onInput, ...rest }: AreaFieldProps) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(ids) => (
        <textarea
          {...ids}
          {...rest}
          class="input"
          value={value}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export interface Choice<Value extends string> {
  value: Value;
  label: string;
  hint?: string;
}

export interface SelectFieldProps<Value extends string> extends FieldProps {
  value: Value;
  onInput: (value: Value) => void;
  choices: readonly Choice<Value>[];
  disabled?: boolean;
}

/** One of several, as a list that opens. */
export function SelectField<Value extends string>(props: SelectFieldProps<Value>) {
  const { label, hint, error, value, onInput, choices, disabled } = props;
  return (
    <Field label={label} hint={hint} error={error}>
      {(ids) => (
        <select
          {...ids}
          class="input"
          value={value}
          disabled={disabled}
          onInput={(event) => {
            const chosen = choices.find((choice) => choice.value === event.currentTarget.value);
            if (chosen) onInput(chosen.value);
          }}
        >
          {choices.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** One of a few, all of them seen, each with its hint. */
export function ChoiceField<Value extends string>(props: SelectFieldProps<Value>) {
  const { label, hint, value, onInput, choices } = props;
  const name = useId();
  return (
    <fieldset class="choices">
      <legend>{label}</legend>
      {hint !== undefined && <span class="field-hint">{hint}</span>}
      {choices.map((choice) => (
        <label key={choice.value} class="check">
          <input
            type="radio"
            name={name}
            value={choice.value}
            checked={choice.value === value}
            onInput={() => onInput(choice.value)}
          />
          <span>
            {choice.label}
            {choice.hint !== undefined && <span class="field-hint"> — {choice.hint}</span>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

export interface CheckFieldProps {
  label: ComponentChildren;
  hint?: string;
  checked: boolean;
  onInput: (checked: boolean) => void;
  disabled?: boolean;
}

export function CheckField({ label, hint, checked, onInput, disabled }: CheckFieldProps) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onInput={(event) => onInput(event.currentTarget.checked)}
      />
      <span>
        {label}
        {hint !== undefined && (
          <>
            <br />
            <span class="field-hint">{hint}</span>
          </>
        )}
      </span>
    </label>
  );
}

/** Several of a list. */
export function CheckList(props: {
  label: string;
  hint?: string;
  choices: readonly string[];
  chosen: readonly string[];
  onInput: (chosen: string[]) => void;
}) {
  const { label, hint, choices, chosen, onInput } = props;
  return (
    <fieldset class="choices">
      <legend>{label}</legend>
      {hint !== undefined && <span class="field-hint">{hint}</span>}
      {choices.map((choice) => (
        <CheckField
          key={choice}
          label={choice}
          checked={chosen.includes(choice)}
          onInput={(isChosen) => onInput(isChosen ? [...chosen, choice] : chosen.filter((each) => each !== choice))}
        />
      ))}
    </fieldset>
  );
}
