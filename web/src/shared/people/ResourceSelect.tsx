import { useQuery } from "@tanstack/react-query";
import { AutoComplete, type AutoCompleteProps } from "antd";
import { api, MAX_ROWS, ok } from "../api/client";
import { useResourceName } from "../ui/bits";

/** The name of a system resource: those that are there are proposed. */
export function ResourceSelect(props: Omit<AutoCompleteProps, "options">) {
  const name = useResourceName();
  const { data } = useQuery({
    queryKey: ["system-resources", "all"],
    queryFn: () => ok(api.GET("/api/v1/system-resources", { params: { query: { limit: MAX_ROWS } } })),
  });
  const resources = [...new Set(data?.items.map((item) => item.name) ?? [])];
  return (
    <AutoComplete
      showSearch={{ filterOption: true }}
      {...props}
      options={resources.map((value) => ({
        value,
        label: name(value) === value ? value : `${name(value)} (${value})`,
      }))}
    />
  );
}
