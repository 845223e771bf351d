import { FilePdfOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Button, Descriptions, Drawer, Flex, Skeleton, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, MAX_ROWS, ok, type Schemas } from "../api/client";
import { said } from "../i18n/said";
import { Moment, Unc } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";
import { type Column, ListPage } from "../ui/ListPage";
import { Rows } from "../ui/list/Rows";
import { Entries } from "./Entries";
import { useWalletChoice, WalletFilter } from "./WalletFilter";

type Side = Schemas["Side"];
type Of = { role: Side; wallet_id: string | undefined };
type Month = Schemas["StatementMonthOut"];
type Line = Schemas["StatementLineOut"];

/** A statement a month: to look at, and as a PDF. */
export function Statements({ side }: { side: Side }) {
  const { t } = useTranslation();
  const [shown, setShown] = useState<string>();
  const choice = useWalletChoice(side === "payer");
  const managed = useManagedGroups(side === "payer");
  const of: Of = { role: side, wallet_id: choice.id };
  const columns: Column<Month>[] = [
    {
      title: t("statements.month"),
      dataIndex: "month",
      render: (month, row) => (
        <span className="tags">
          <Button type="link" style={{ padding: 0 }} onClick={() => setShown(month)}>
            {month}
          </Button>
          {!row.complete && <Tag>{t("statements.soFar")}</Tag>}
        </span>
      ),
    },
    {
      title: t("statements.incoming"),
      dataIndex: "incoming",
      align: "right",
      render: (value) => <Unc value={value} />,
    },
    {
      title: t("statements.outgoing"),
      dataIndex: "outgoing",
      align: "right",
      render: (value) => <Unc value={value} />,
    },
    {
      title: t("statements.closing"),
      dataIndex: "closing",
      align: "right",
      render: (value) => <Unc value={value} strong />,
    },
    { key: "actions", render: (_, row) => <PdfButton month={row.month} of={of} /> },
  ];
  return (
    <>
      <ListPage
        about={t(`statements.about.${side}`)}
        queryKey={["statements", of]}
        load={() => ok(api.GET("/api/v1/statements", { params: { query: of } }))}
        columns={columns}
        rowKey={(row) => row.month}
        searchable={false}
        file={{ path: "/api/v1/statements", query: of }}
        filters={
          managed.length > 0 && (
            <WalletFilter
              choice={choice}
              fallback={choice.own?.id}
              only={({ owner, owner_id }) => owner === "user" || managed.includes(owner_id)}
            />
          )
        }
        empty={t("statements.empty")}
        local
      />
      <Drawer
        title={[shown, choice.chosen?.owner_name].filter(Boolean).join(" · ")}
        open={Boolean(shown)}
        onClose={() => setShown(undefined)}
        size={880}
        destroyOnHidden
      >
        {shown && <Statement month={shown} of={of} />}
      </Drawer>
    </>
  );
}

/** The groups that one manages: their statements are open to one. */
function useManagedGroups(enabled: boolean): string[] {
  const { data } = useQuery({
    queryKey: ["groups", "mine"],
    queryFn: () => ok(api.GET("/api/v1/groups", { params: { query: { mine: true, limit: MAX_ROWS } } })),
    enabled,
  });
  return data?.items.filter(({ my_role }) => my_role === "manager").map(({ id }) => id) ?? [];
}

function PdfButton({ month, of }: { month: string; of: Of }) {
  const { t, i18n } = useTranslation();
  const wallet = of.wallet_id && { wallet_id: of.wallet_id };
  const query = new URLSearchParams({ role: of.role, ...wallet, format: "pdf", lang: i18n.language });
  return (
    <Button size="small" icon={<FilePdfOutlined aria-hidden />} href={`/api/v1/statements/${month}?${query}`} download>
      {t("statements.pdf")}
    </Button>
  );
}

function Statement({ month, of }: { month: string; of: Of }) {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery({
    queryKey: ["statements", of, month],
    queryFn: () => ok(api.GET("/api/v1/statements/{month}", { params: { path: { month }, query: of } })),
  });
  if (error && !data) return <ErrorCard error={error} retry={refetch} />;
  if (!data) return <Skeleton active />;
  const sums = [
    ["opening", data.opening],
    ["incoming", data.incoming],
    ["outgoing", data.outgoing],
    ["closing", data.closing],
  ] as const;
  return (
    <Flex vertical gap="middle">
      <Descriptions
        size="small"
        bordered
        column={{ xs: 1, sm: 2 }}
        items={sums.map(([key, value]) => ({
          key,
          label: t(`statements.${key}`),
          children: <Unc value={value} strong={key === "closing"} />,
        }))}
      />
      <Typography.Text type="secondary">{t("statements.exact")}</Typography.Text>
      <Lines lines={data.lines} />
      <div>
        <PdfButton month={month} of={of} />
      </div>
      <section>
        <Typography.Title level={5}>{t("statements.bookings")}</Typography.Title>
        <Entries
          queryKey={["statements", of, month, "entries"]}
          load={({ limit, cursor }) =>
            ok(
              api.GET("/api/v1/statements/{month}/entries", {
                params: { path: { month }, query: { limit, cursor, ...of } },
              }),
            )
          }
          file={{ path: `/api/v1/statements/${month}/entries`, query: of }}
          empty={t("statements.noBookings")}
        />
      </section>
    </Flex>
  );
}

const LINES = 50;

/** What the month's balance is made of. */
function Lines({ lines }: { lines: Line[] }) {
  const { t } = useTranslation();
  const [count, setCount] = useState(LINES);
  const columns: Column<Line>[] = [
    {
      title: t("statements.what"),
      key: "what",
      render: (_, line) => (
        <div style={{ maxWidth: 360 }}>
          {t([`statements.kinds.${line.kind}`, "statements.kinds.other"] as never)}
          {line.text && ` · ${line.workload_id ? line.text : said(line.text)}`}
          {line.spec && <span className="reason">{line.spec}</span>}
        </div>
      ),
    },
    { title: t("statements.from"), dataIndex: "at", render: (at) => <Moment at={at} /> },
    {
      title: t("common.price"),
      dataIndex: "price",
      align: "right",
      render: (price) => (price === null ? "" : <Unc value={price} perHour />),
    },
    {
      title: t("charges.amount"),
      dataIndex: "amount",
      align: "right",
      render: (value) => <Unc value={value} strong />,
    },
  ];
  return (
    <div>
      <Rows
        rows={lines.slice(0, count)}
        columns={columns}
        rowKey={(line) => `${line.at}${line.kind}${line.workload_id}${line.price}${line.amount}`}
        empty={t("statements.noBookings")}
        small
      />
      {count < lines.length && (
        <Button style={{ marginTop: 8 }} onClick={() => setCount(count + LINES)}>
          {t("list.more")}
        </Button>
      )}
    </div>
  );
}
