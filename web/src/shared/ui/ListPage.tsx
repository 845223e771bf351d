import { DownloadOutlined } from "@ant-design/icons";
import { type QueryKey, useInfiniteQuery } from "@tanstack/react-query";
import { Button, Card, Empty, Flex, Grid, Input, Skeleton, Table, type TableColumnType, Typography } from "antd";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Page, PageQuery } from "../api/client";
import { ErrorCard } from "./ErrorCard";
import { useAct } from "./feedback";

export type Column<T> = Omit<TableColumnType<T>, "children">;

interface Props<T extends object> {
  title?: ReactNode;
  /** What this list is for, in a line. */
  about?: ReactNode;
  queryKey: QueryKey;
  load: (query: PageQuery) => Promise<Page<T>>;
  columns: Column<T>[];
  rowKey: (row: T) => string;
  /** Buttons beside the title. */
  extra?: ReactNode;
  /** Beside the search field. */
  filters?: ReactNode;
  /** Some filter is set: an empty list does not mean that there is nothing. */
  filtered?: boolean;
  /** What to do when there is nothing yet. */
  empty: ReactNode;
  searchable?: boolean;
  csv?: () => Promise<void>;
  expanded?: (row: T) => ReactNode;
}

const PAGE = 50;

/** A list: search, sort, more pages by cursor, CSV; a table on wide screens and cards on narrow ones. */
export function ListPage<T extends object>(props: Props<T>) {
  const { title, about, queryKey, load, columns, rowKey, extra, filters, empty, searchable = true } = props;
  const { t } = useTranslation();
  const act = useAct();
  const wide = Grid.useBreakpoint().md ?? window.innerWidth >= 768;
  const [typed, setTyped] = useState("");
  const search = useDebounced(typed);

  const list = useInfiniteQuery({
    queryKey: [...queryKey, { search }],
    queryFn: ({ pageParam }) => load({ limit: PAGE, cursor: pageParam, search: search || undefined }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (previous) => previous,
  });
  const rows = list.data?.pages.flatMap((page) => page.items) ?? [];

  const nothing = (
    <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={search || props.filtered ? t("list.noMatch") : empty} />
  );

  return (
    <section>
      <Flex justify="space-between" align="start" gap="small" wrap={!wide} style={{ marginBottom: 16 }}>
        <div>
          {title && (
            <Typography.Title level={3} style={{ margin: 0 }}>
              {title}
            </Typography.Title>
          )}
          {about && <Typography.Text type="secondary">{about}</Typography.Text>}
        </div>
        {extra}
      </Flex>
      {(searchable || filters || props.csv) && (
        <Flex gap="small" wrap style={{ marginBottom: 16 }}>
          {searchable && (
            <Input.Search
              allowClear
              aria-label={t("list.search")}
              placeholder={t("list.search")}
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
              style={{ maxWidth: 280 }}
            />
          )}
          {filters}
          {props.csv && (
            <Button icon={<DownloadOutlined aria-hidden />} onClick={() => act(props.csv as () => Promise<void>)}>
              {t("list.csv")}
            </Button>
          )}
        </Flex>
      )}
      {list.isError && rows.length === 0 ? (
        <ErrorCard error={list.error} retry={() => list.refetch()} />
      ) : list.isPending ? (
        <Skeleton active paragraph={{ rows: 6 }} />
      ) : wide ? (
        <Table<T>
          columns={columns.map(pinActions)}
          dataSource={rows}
          rowKey={rowKey}
          pagination={false}
          size="middle"
          scroll={{ x: "max-content" }}
          locale={{ emptyText: nothing }}
          expandable={props.expanded && { expandedRowRender: props.expanded }}
        />
      ) : rows.length ? (
        <Flex vertical gap="small">
          {rows.map((row) => (
            <RowCard key={rowKey(row)} row={row} columns={columns} />
          ))}
        </Flex>
      ) : (
        nothing
      )}
      {list.hasNextPage && (
        <Flex justify="center" style={{ marginTop: 16 }}>
          <Button loading={list.isFetchingNextPage} onClick={() => list.fetchNextPage()}>
            {t("list.more")}
          </Button>
        </Flex>
      )}
    </section>
  );
}

/** Buttons stay in view however wide the table is. */
const pinActions = <T,>(column: Column<T>): Column<T> =>
  column.key === "actions" ? { ...column, fixed: "end", className: "actions" } : column;

function RowCard<T extends object>({ row, columns }: { row: T; columns: Column<T>[] }) {
  return (
    <Card size="small" className="row-card">
      <dl>
        {columns.map((column, index) => {
          const value = column.dataIndex ? row[column.dataIndex as keyof T] : undefined;
          const content = column.render ? column.render(value, row, index) : String(value ?? "–");
          const heading = column.title as ReactNode;
          return heading ? (
            <Line key={String(column.key ?? column.dataIndex)} term={heading}>
              {content as ReactNode}
            </Line>
          ) : (
            <dd key={String(column.key ?? index)} style={{ gridColumn: "1 / -1" }}>
              {content as ReactNode}
            </dd>
          );
        })}
      </dl>
    </Card>
  );
}

function Line({ term, children }: { term: ReactNode; children: ReactNode }) {
  return (
    <>
      <dt>{term}</dt>
      <dd>{children || "–"}</dd>
    </>
  );
}

function useDebounced(value: string, wait = 250): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value.trim()), wait);
    return () => clearTimeout(timer);
  }, [value, wait]);
  return settled;
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
