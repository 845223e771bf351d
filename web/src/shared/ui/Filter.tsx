import { Select } from "antd";

interface Props<V extends string> {
  label: string;
  value: V | undefined;
  onChange: (value: V | undefined) => void;
  options: { value: V; label: string }[];
}

/** Narrows a list; nothing chosen: all. */
export function Filter<V extends string>({ label, value, onChange, options }: Props<V>) {
  return (
    <Select<V>
      allowClear
      aria-label={label}
      placeholder={label}
      value={value}
      onChange={onChange}
      options={options}
      style={{ minWidth: 130 }}
    />
  );
}
