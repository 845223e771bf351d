import { AutoComplete, Input } from "antd";
import { useEffect, useState } from "react";
import { useArrival } from "../address";

interface Props {
  label: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
  /** What may be meant; anything else may be typed too. */
  options?: string[];
  width?: number;
}

/** Narrows a list by typed text, a quarter of a second after the last key; follows a link that brings another text. */
export function TextFilter({ label, value = "", onChange, options, width = 170 }: Props) {
  const [typed, setTyped] = useState(value);
  const arrival = useArrival();
  const [seen, setSeen] = useState(arrival);
  if (arrival !== seen) {
    setSeen(arrival);
    if (arrival) setTyped(value);
  }
  useEffect(() => {
    if (typed.trim() === value) return;
    const timer = setTimeout(() => onChange(typed.trim() || undefined), 250);
    return () => clearTimeout(timer);
  }, [typed, value, onChange]);
  const field = { "aria-label": label, placeholder: label, allowClear: true, style: { width } };
  if (!options) return <Input {...field} value={typed} onChange={(event) => setTyped(event.target.value)} />;
  return (
    <AutoComplete
      {...field}
      value={typed}
      onChange={(text: string | undefined) => setTyped(text ?? "")}
      options={options.map((one) => ({ value: one }))}
      showSearch={{ filterOption: (text, option) => Boolean(option?.value.includes(text)) }}
    />
  );
}
