import { DownloadOutlined } from "@ant-design/icons";
import { type QueryKey, useInfiniteQuery } from "@tanstack/react-query";
import { Alert, Button, Empty, Flex, Grid, Skeleton, Typography } from "antd";
import { type ReactNode, useCallback, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAddress, useClearAddress } from "../address";
import type { Page, PageQuery } from "../api/client";
import { ErrorCard } from "./ErrorCard";
import { useAct } from "./feedback";
import type { Column } from "./list/columns";
import { ExportMenu, type ListFile, SearchBox, SortBox } from "./list/ListTools";
import { Rows } from "./list/Rows";

export { by, type Column } from "./list/columns";

interface Props<T extends object> {
  title?: ReactNode;
  /** What this list is for, in a line. */
  about?: ReactNode;
  queryKey: QueryKey;
  load: (query: PageQuery) => Promise<Page<T>>;
  columns: Column<T>[];
  rowKey: (row: T) => string;
  /** Between the title and the list: what concerns the whole of it. */
  summary?: ReactNode;
  /** Buttons beside the title. */
  extra?: ReactNode;
  /** Beside the search field; kept in the address by `useAddress`. */
  filters?: ReactNode;
  /** Some filter is set: an empty list does not mean that there is nothing. */
  filtered?: boolean;
  /** What to do when there is nothing yet. */
  empty: ReactNode;
  searchable?: boolean;
  /** Offers the whole list, as it is narrowed and sorted, as CSV and as JSON lines. */
  file?: ListFile;
  csv?: () => Promise<void>;
  expanded?: (row: T) => ReactNode;
  /** What can be done with several rows at once; `done` lets go of them. */
  bulk?: (rows: T[], done: () => void) => ReactNode;
  /** Search and order stay out of the address: for lists in dialogs, and for the second list of a page. */
  local?: boolean;
}

const PAGE = 50;

/** A list: search, sort, more pages by cursor, files; a table on wide screens and cards on narrow ones. */
export function ListPage<T extends object>(props: Props<T>) {
  const { title, about, queryKey, load, columns, rowKey, extra, filters, empty, searchable = true, local } = props;
  const { t } = useTranslation();
  const act = useAct();
  const wide = Grid.useBreakpoint().md ?? window.innerWidth >= 768;
  const [search = "", setSearch] = useAddress("search", local);
  const [sort, setSort] = useAddress("sort", local);
  const [narrowed, clear] = useClearAddress();
  const [chosen, setChosen] = useState<string[]>([]);
  const letGo = useCallback(() => setChosen([]), []);
  const sortable = columns.filter((column) => column.sort);

  const list = useInfiniteQuery({
    queryKey: [...queryKey, { search, sort }],
    queryFn: ({ pageParam }) =>
      load({
        limit: PAGE,
        cursor: pageParam,
        search: search || undefined,
        sort: (sortable.length ? sort : undefined) as PageQuery["sort"],
      }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (previous) => previous,
  });
  const rows = list.data?.pages.flatMap((page) => page.items) ?? [];
  const chosenRows = rows.filter((row) => chosen.includes(rowKey(row)));

  const nothing = (
    <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={search || props.filtered ? t("list.noMatch") : empty}>
      {!local && narrowed && (search || props.filtered) && <Button onClick={clear}>{t("list.clear")}</Button>}
    </Empty>
  );

  return (
    <section>
      {(title || about || extra) && (
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
      )}
      {props.summary}
      {(searchable || filters || props.csv || props.file) && (
        <Flex gap="small" wrap style={{ marginBottom: 16 }}>
          {searchable && <SearchBox value={search} onChange={setSearch} />}
          {filters}
          {!wide && sortable.length > 0 && <SortBox columns={sortable} value={sort} onChange={setSort} />}
          {props.file && (
            <ExportMenu
              file={{ ...props.file, query: { search, sort: sortable.length && sort, ...props.file.query } }}
            />
          )}
          {props.csv && (
            <Button icon={<DownloadOutlined aria-hidden />} onClick={() => act(props.csv as () => Promise<void>)}>
              {t("list.csv")}
            </Button>
          )}
        </Flex>
      )}
      {props.bulk && chosenRows.length > 0 && (
        <Flex className="bulk" role="region" aria-label={t("list.chosenRows")} gap="small" align="center" wrap>
          <Typography.Text strong>{t("list.chosen", { count: chosenRows.length })}</Typography.Text>
          {props.bulk(chosenRows, letGo)}
          <Button type="text" onClick={letGo}>
            {t("list.letGo")}
          </Button>
        </Flex>
      )}
      {list.isError && rows.length > 0 && (
        <Alert type="warning" showIcon banner title={t("list.stale")} style={{ marginBottom: 16 }} />
      )}
      {list.isError && rows.length === 0 ? (
        <ErrorCard error={list.error} retry={() => list.refetch()} />
      ) : list.isPending ? (
        <Skeleton active paragraph={{ rows: 6 }} />
      ) : (
        <Rows
          rows={rows}
          columns={columns}
          rowKey={rowKey}
          empty={nothing}
          sort={sort}
          onSort={setSort}
          expanded={props.expanded}
          chosen={chosen}
          onChoose={props.bulk && setChosen}
          waiting={list.isPlaceholderData}
        />
      )}
      {rows.length > 0 && (
        <Flex justify="space-between" align="center" style={{ marginTop: 12, minHeight: 32 }}>
          <Typography.Text type="secondary" role="status">
            {t(list.hasNextPage ? "list.first" : "list.count", { count: rows.length })}
          </Typography.Text>
          {list.hasNextPage && (
            <Button loading={list.isFetchingNextPage} onClick={() => list.fetchNextPage()}>
              {t("list.more")}
            </Button>
          )}
        </Flex>
      )}
    </section>
  );
}
