import { FilePdfOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Button, Descriptions, Drawer, Flex, Skeleton, Table, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { said } from "../i18n/said";
import { Moment, Unc } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";
import { type Column, ListPage } from "../ui/ListPage";

type Side = Schemas["Side"];
type Month = Schemas["StatementMonthOut"];
type Line = Schemas["StatementLineOut"];

/** A statement a month: to look at, and as a PDF. */
export function Statements({ side }: { side: Side }) {
  const { t } = useTranslation();
  const [shown, setShown] = useState<string>();
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
    { key: "actions", render: (_, row) => <PdfButton month={row.month} side={side} /> },
  ];
  return (
    <>
      <ListPage
        about={t(`statements.about.${side}`)}
        queryKey={["statements", side]}
        load={() => ok(api.GET("/api/v1/statements", { params: { query: { role: side } } }))}
        columns={columns}
        rowKey={(row) => row.month}
        searchable={false}
        empty={t("statements.empty")}
        local
      />
      <Drawer title={shown} open={Boolean(shown)} onClose={() => setShown(undefined)} size={880} destroyOnHidden>
        {shown && <Statement month={shown} side={side} />}
      </Drawer>
    </>
  );
}

function PdfButton({ month, side }: { month: string; side: Side }) {
  const { t, i18n } = useTranslation();
  const query = new URLSearchParams({ role: side, format: "pdf", lang: i18n.language });
  return (
    <Button size="small" icon={<FilePdfOutlined aria-hidden />} href={`/api/v1/statements/${month}?${query}`} download>
      {t("statements.pdf")}
    </Button>
  );
}

function Statement({ month, side }: { month: string; side: Side }) {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery({
    queryKey: ["statements", side, month],
    queryFn: () => ok(api.GET("/api/v1/statements/{month}", { params: { path: { month }, query: { role: side } } })),
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
      <Table<Line>
        rowKey={(line) => `${line.at}${line.kind}${line.workload_id}${line.price}${line.amount}`}
        dataSource={data.lines}
        pagination={data.lines.length > 50 ? { pageSize: 50 } : false}
        size="small"
        scroll={{ x: "max-content" }}
        columns={[
          { title: t("statements.from"), dataIndex: "at", render: (at) => <Moment at={at} /> },
          {
            title: t("statements.what"),
            key: "what",
            render: (_, line) => (
              <>
                {t([`statements.kinds.${line.kind}`, "statements.kinds.other"] as never)}
                {line.text && ` · ${line.workload_id ? line.text : said(line.text)}`}
                {line.spec && <span className="reason">{line.spec}</span>}
              </>
            ),
          },
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
        ]}
      />
      <div>
        <PdfButton month={month} side={side} />
      </div>
    </Flex>
  );
}
