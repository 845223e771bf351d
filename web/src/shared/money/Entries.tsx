import type { QueryKey } from "@tanstack/react-query";
import { Flex, Tooltip, Typography } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Page, PageQuery, Schemas } from "../api/client";
import { said } from "../i18n/said";
import { Moment, Unc } from "../ui/bits";
import type { ListFile } from "../ui/list/ListTools";
import { type Column, ListPage } from "../ui/ListPage";

type Entry = Schemas["EntryOut"];

interface Props {
  queryKey: QueryKey;
  load: (query: PageQuery) => Promise<Page<Entry>>;
  file: ListFile;
  filters?: ReactNode;
  filtered?: boolean;
  empty: string;
}

/** Journal entries: each with its postings, which sum to zero. */
export function Entries(props: Props) {
  const { t } = useTranslation();
  const columns: Column<Entry>[] = [
    {
      title: t("journal.seq"),
      dataIndex: "seq",
      render: (seq, entry) => (
        <Tooltip title={entry.hash}>
          <span className="number">{seq}</span>
        </Tooltip>
      ),
    },
    { title: t("recharges.at"), dataIndex: "at", render: (at) => <Moment at={at} /> },
    {
      title: t("orders.what"),
      dataIndex: "kind",
      render: (kind, entry) => (
        <>
          {t([`orders.kinds.${kind}`, "statements.kinds.other"] as never)}
          {(entry.note || entry.actor_name) && (
            <Typography.Text type="secondary" className="reason">
              {[said(entry.note), entry.actor_name].filter(Boolean).join(" · ")}
            </Typography.Text>
          )}
        </>
      ),
    },
    {
      title: t("charges.amount"),
      key: "postings",
      render: (_, entry) => (
        <Flex vertical>
          {entry.postings.map((posting) => (
            <Flex key={posting.account + posting.owner_name} justify="space-between" gap="middle">
              <span style={{ overflowWrap: "anywhere" }}>
                {t([`orders.accounts.${posting.account}`, "orders.accounts.fee"] as never, {
                  owner: posting.owner_name,
                })}
              </span>
              <Unc value={posting.amount} />
            </Flex>
          ))}
        </Flex>
      ),
    },
  ];
  return <ListPage<Entry> {...props} columns={columns} rowKey={(entry) => entry.id} searchable={false} local />;
}
