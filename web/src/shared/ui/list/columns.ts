import type { TableColumnType } from "antd";
import type { SortOrder } from "antd/es/table/interface";

export type Column<T> = Omit<TableColumnType<T>, "children"> & {
  /** The server sorts the whole list by this name. A `sorter` instead sorts the rows that are loaded. */
  sort?: string;
  /** Left out of the cards on narrow screens. */
  wideOnly?: boolean;
};

/** As the table wants them: sorted as `sort` (`name`, `-name`) says, buttons in view however wide the table is. */
export function tableColumns<T>(columns: Column<T>[], sort: string | undefined): TableColumnType<T>[] {
  return columns.map((column) => ({
    ...column,
    ...(column.sort && { sorter: true, sortOrder: order(column.sort, sort) }),
    ...(column.key === "actions" && { fixed: "end", className: "actions" }),
  }));
}

function order(name: string, sort: string | undefined): SortOrder {
  if (sort === name) return "ascend";
  return sort === `-${name}` ? "descend" : null;
}

/** Sort by what `key` answers: text or number. */
export function by<T>(key: (row: T) => string | number | null | undefined) {
  return (a: T, b: T) => {
    const [x, y] = [key(a) ?? "", key(b) ?? ""];
    return typeof x === "number" && typeof y === "number"
      ? x - y
      : String(x).localeCompare(String(y), undefined, { numeric: true });
  };
}
