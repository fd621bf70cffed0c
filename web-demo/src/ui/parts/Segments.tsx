import { useId } from "react";
import "./segments.css";

interface SegmentsProps<T extends string> {
  label: string;
  value: T;
  options: { value: T; label: string; title?: string }[];
  onChange: (value: T) => void;
  testId?: string;
}

/** One of a few, all of them in sight. */
export function Segments<T extends string>({ label, value, options, onChange, testId }: SegmentsProps<T>) {
  const name = useId();
  return (
    <fieldset className="segments" data-testid={testId}>
      <legend className="visually-hidden">{label}</legend>
      {options.map((option) => (
        <label key={option.value} title={option.title}>
          <input
            type="radio"
            className="visually-hidden"
            name={name}
            value={option.value}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
          />
          <span>{option.label}</span>
        </label>
      ))}
    </fieldset>
  );
}
