import { DownloadOutlined, SortAscendingOutlined, SortDescendingOutlined } from "@ant-design/icons";
import { Button, Dropdown, Flex, Input, Select } from "antd";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useArrival } from "../../address";
import type { Column } from "./columns";

/** Types into `value` a quarter of a second after the last key; follows `value` when one came here by a link. */
export function SearchBox({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState(value);
  const arrival = useArrival();
  const [seen, setSeen] = useState(arrival);
  if (arrival !== seen) {
    setSeen(arrival);
    if (arrival) setTyped(value);
  }
  useEffect(() => {
    if (typed.trim() === value) return;
    const timer = setTimeout(() => onChange(typed.trim()), 250);
    return () => clearTimeout(timer);
  }, [typed, value, onChange]);
  return (
    <Input.Search
      allowClear
      aria-label={t("list.search")}
      placeholder={t("list.search")}
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
      onSearch={(text) => onChange(text.trim())}
      className="list-search"
    />
  );
}

/** The order on narrow screens, where no table head can be pressed. */
export function SortBox<T>({
  columns,
  value,
  onChange,
}: {
  columns: Column<T>[];
  value: string | undefined;
  onChange: (value: string | undefined) => void;
}) {
  const { t } = useTranslation();
  const name = value?.replace(/^-/, "");
  const down = Boolean(value?.startsWith("-"));
  return (
    <Flex gap={4}>
      <Select
        allowClear
        aria-label={t("list.sort")}
        placeholder={t("list.sort")}
        value={name}
        onChange={onChange}
        options={columns.map((column) => ({ value: column.sort as string, label: column.title as string }))}
        style={{ minWidth: 130 }}
      />
      {name && (
        <Button
          aria-label={t(down ? "list.descending" : "list.ascending")}
          icon={down ? <SortDescendingOutlined aria-hidden /> : <SortAscendingOutlined aria-hidden />}
          onClick={() => onChange(down ? name : `-${name}`)}
        />
      )}
    </Flex>
  );
}

/** Where a list's file is, and what narrows it. */
export interface ListFile {
  path: string;
  query?: Record<string, unknown>;
}

/** The whole list as a file: the browser streams it to the disk. */
export function ExportMenu({ file }: { file: ListFile }) {
  const { t } = useTranslation();
  const link = (format: string) => {
    const query = new URLSearchParams({ format });
    for (const [name, value] of Object.entries(file.query ?? {}))
      for (const one of Array.isArray(value) ? value : [value])
        if (one !== undefined && one !== null && one !== "") query.append(name, String(one));
    return `${file.path}?${query}`;
  };
  const item = (format: string, label: string) => ({
    key: format,
    label: (
      <a href={link(format)} download>
        {label}
      </a>
    ),
  });
  return (
    <Dropdown
      trigger={["click"]}
      menu={{ items: [item("csv", t("list.csvFile")), item("jsonl", t("list.jsonlFile"))] }}
    >
      <Button icon={<DownloadOutlined aria-hidden />}>{t("list.export")}</Button>
    </Dropdown>
  );
}
