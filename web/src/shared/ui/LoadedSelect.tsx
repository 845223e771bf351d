import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Select, type SelectProps } from "antd";
import { useState } from "react";
import { MAX_ROWS, type Page, type PageQuery } from "../api/client";

interface Option {
  value: string;
  label: string;
  disabled?: boolean;
}

interface Props<T> extends Omit<SelectProps, "options" | "loading"> {
  queryKey: string;
  load: (query: PageQuery) => Promise<Page<T>>;
  option: (row: T) => Option;
}

/** A choice among the rows of a list. What is typed is looked for at the server when not all rows came at once. */
export function LoadedSelect<T>({ queryKey, load, option, ...rest }: Props<T>) {
  const [typed, setTyped] = useState("");
  const first = useQuery({ queryKey: [queryKey, "all"], queryFn: () => load({ limit: MAX_ROWS }) });
  const long = Boolean(first.data?.next_cursor);
  const found = useQuery({
    queryKey: [queryKey, "all", typed],
    queryFn: () => load({ limit: MAX_ROWS, search: typed }),
    enabled: long && typed !== "",
    placeholderData: keepPreviousData,
  });
  const options = new Map<string, Option>();
  for (const row of [...(first.data?.items ?? []), ...(typed && long ? (found.data?.items ?? []) : [])]) {
    const one = option(row);
    options.set(one.value, one);
  }
  return (
    <Select
      {...rest}
      showSearch={{ optionFilterProp: "label", onSearch: setTyped }}
      loading={first.isPending || found.isFetching}
      options={[...options.values()]}
    />
  );
}
