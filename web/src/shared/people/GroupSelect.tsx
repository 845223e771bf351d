import type { SelectProps } from "antd";
import { api, ok } from "../api/client";
import { LoadedSelect } from "../ui/LoadedSelect";

/** A choice among the groups that one sees. */
export function GroupSelect(props: Omit<SelectProps, "options" | "loading">) {
  return (
    <LoadedSelect
      {...props}
      queryKey="groups"
      load={(query) => ok(api.GET("/api/v1/groups", { params: { query } }))}
      option={(group) => ({ value: group.id, label: group.name })}
    />
  );
}
