import { useQuery } from "@tanstack/react-query";
import { Select, type SelectProps } from "antd";
import { MAX_ROWS, type Page, type PageQuery } from "../api/client";

interface Props<T> extends Omit<SelectProps, "options" | "loading"> {
  queryKey: string;
  load: (query: PageQuery) => Promise<Page<T>>;
  option: (row: T) => { value: string; label: string; disabled?: boolean };
}

/** A choice among the rows of a list. */
export function LoadedSelect<T>({ queryKey, load, option, ...rest }: Props<T>) {
  const { data, isPending } = useQuery({ queryKey: [queryKey, "all"], queryFn: () => load({ limit: MAX_ROWS }) });
  return (
    <Select
      showSearch={{ optionFilterProp: "label" }}
      {...rest}
      loading={isPending}
      options={data?.items.map(option)}
    />
  );
}
