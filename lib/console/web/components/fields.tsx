/* Fields of forms and filters: each has its label, and says what is wrong with it. */
import { useEffect, useId, useRef, useState } from 'preact/hooks';

const TYPING_MILLISECONDS = 300;

interface SelectProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly onChange: (value: string) => void;
}

export function Select({ label, value, options, onChange }: SelectProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} class="input" value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

interface SearchProps {
  readonly label: string;
  readonly value: string;
  /** Called when the typing rests. */
  readonly onChange: (value: string) => void;
}

export function Search({ label, value, onChange }: SearchProps) {
  const id = useId();
  const [typed, setTyped] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (text: string): void => {
    setTyped(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(text.trim()), TYPING_MILLISECONDS);
  };
  return (
    <div class="field field-wide">
      <label for={id}>{label}</label>
      <input
        id={id}
        class="input"
        type="search"
        autocomplete="off"
        spellcheck={false}
        maxLength={200}
        value={typed}
        onInput={(event) => type(event.currentTarget.value)}
      />
    </div>
  );
}

interface TextProps {
  readonly label: string;
  readonly hint?: string;
  readonly value: string;
  readonly maxLength: number;
  readonly required?: boolean;
  readonly onChange: (value: string) => void;
  /** What is wrong with what was typed. */
  readonly problem?: string | undefined;
}

export function TextArea({ label, hint, value, maxLength, required, onChange, problem }: TextProps) {
  const id = useId();
  const notes = [hint === undefined ? '' : `${id}-hint`, problem ? `${id}-problem` : ''].filter(Boolean);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {hint !== undefined && (
        <p id={`${id}-hint`} class="field-hint">
          {hint}
        </p>
      )}
      <textarea
        id={id}
        class="input"
        value={value}
        maxLength={maxLength}
        required={required}
        aria-invalid={problem ? 'true' : undefined}
        aria-describedby={notes.length === 0 ? undefined : notes.join(' ')}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      {problem && (
        <p id={`${id}-problem`} class="field-error">
          {problem}
        </p>
      )}
    </div>
  );
}

interface CheckProps {
  readonly label: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}

export function Check({ label, checked, onChange }: CheckProps) {
  const id = useId();
  return (
    <div class="check">
      <input
        id={id}
        type="checkbox"
        checked={checked}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
    </div>
  );
}

interface FileProps {
  readonly label: string;
  /** What is said of a file with more bytes. */
  readonly tooLarge: string;
  readonly maxBytes: number;
  /** The file's text. */
  readonly onChosen: (text: string) => void;
}

export function FileChooser({ label, tooLarge, maxBytes, onChosen }: FileProps) {
  const id = useId();
  const [problem, setProblem] = useState('');
  const choose = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    const fits = file.size <= maxBytes;
    setProblem(fits ? '' : tooLarge);
    if (fits) onChosen(await file.text());
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        class="input input-file"
        type="file"
        aria-invalid={problem === '' ? undefined : 'true'}
        aria-describedby={problem === '' ? undefined : `${id}-problem`}
        onChange={(event) => void choose(event.currentTarget.files?.[0])}
      />
      {problem !== '' && (
        <p id={`${id}-problem`} class="field-error">
          {problem}
        </p>
      )}
    </div>
  );
}
