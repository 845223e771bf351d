import { Empty, Flex, Grid, Table, type TableProps } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { type Column, tableColumns } from "./columns";
import { RowCard } from "./RowCard";

interface Props<T extends object> {
  rows: T[];
  columns: Column<T>[];
  rowKey: (row: T) => string;
  empty: ReactNode;
  sort?: string;
  onSort?: (sort: string | undefined) => void;
  expanded?: (row: T) => ReactNode;
  /** The keys of the rows that are chosen, where rows can be. */
  chosen?: string[];
  onChoose?: (keys: string[]) => void;
  waiting?: boolean;
  small?: boolean;
}

/** Rows as a table on wide screens, as cards on narrow ones. */
export function Rows<T extends object>(props: Props<T>) {
  const { t } = useTranslation();
  const { rows, columns, rowKey, empty, sort, onSort, expanded, chosen = [], onChoose } = props;
  const wide = Grid.useBreakpoint().md ?? window.innerWidth >= 768;
  const nothing =
    typeof empty === "string" ? <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={empty} /> : empty;

  if (!wide && rows.length === 0) return nothing;
  if (!wide)
    return (
      <Flex vertical gap="small">
        {rows.map((row) => {
          const key = rowKey(row);
          const others = chosen.filter((one) => one !== key);
          return (
            <RowCard
              key={key}
              row={row}
              columns={columns}
              detail={expanded?.(row)}
              chosen={chosen.includes(key)}
              onChoose={onChoose && ((on) => onChoose(on ? [...others, key] : others))}
            />
          );
        })}
      </Flex>
    );

  const onChange: TableProps<T>["onChange"] = (_, __, sorter, { action }) => {
    if (action !== "sort" || Array.isArray(sorter)) return;
    const name = (sorter.column as Column<T> | undefined)?.sort;
    if (sorter.order && !name) return;
    onSort?.(sorter.order ? `${sorter.order === "descend" ? "-" : ""}${name}` : undefined);
  };
  return (
    <Table<T>
      columns={tableColumns(columns, sort)}
      dataSource={rows}
      rowKey={rowKey}
      pagination={false}
      size={props.small ? "small" : "middle"}
      scroll={{ x: "max-content" }}
      loading={{ spinning: Boolean(props.waiting), delay: 200 }}
      locale={{ emptyText: nothing }}
      expandable={expanded && { expandedRowRender: expanded }}
      rowSelection={
        onChoose && {
          selectedRowKeys: chosen,
          onChange: (keys) => onChoose(keys as string[]),
          columnWidth: 44,
          getTitleCheckboxProps: () => ({ "aria-label": t("list.chooseAll") }),
          getCheckboxProps: () => ({ "aria-label": t("list.choose") }),
        }
      }
      onChange={onChange}
    />
  );
}
