import { BarChart } from "@shared/ui/BarChart";
import { Filter } from "@shared/ui/Filter";
import { useQuery } from "@tanstack/react-query";
import { Card, DatePicker, Empty, Flex, Progress, Segmented, Skeleton, Statistic, Table, Typography } from "antd";
import dayjs from "dayjs";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useAddress } from "../address";
import { api, ok, type Schemas } from "../api/client";
import { formatUnc } from "../format";
import { Unc } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";
import { useWalletChoice, WalletFilter } from "./WalletFilter";

type By = Schemas["By"];
type Side = Schemas["Side"];
type Sum = Schemas["SumOut"];

const WAYS: Record<Side, By[]> = {
  payer: ["day", "workload", "spec", "miner"],
  payee: ["day", "spec", "node", "renter", "workload"],
};
const SPANS = [7, 30, 90] as const;

/** What was paid or earned, by day as bars, by anything else as a table with shares. Days are days in UTC. */
export function Sums({ side }: { side: Side }) {
  const { t } = useTranslation();
  const [by = "day", setBy] = useAddress<By>("by");
  const [since, setSince] = useAddress("since");
  const [until, setUntil] = useAddress("until");
  const choice = useWalletChoice(side === "payer");
  const wallet_id = choice.id;
  const query = useMemo(
    () => ({ by, role: side, wallet_id, ...moments(since, until) }),
    [by, side, wallet_id, since, until],
  );
  const ways = choice.chosen?.owner === "group" ? [...WAYS[side], "renter" as const] : WAYS[side];
  const sums = useQuery({
    queryKey: ["sums", query],
    queryFn: () => ok(api.GET("/api/v1/analytics/charges", { params: { query } })),
    placeholderData: (previous) => previous,
  });
  return (
    <Flex vertical gap="middle">
      <Flex gap="small" wrap align="center">
        <Segmented
          aria-label={t("sums.by")}
          value={by}
          onChange={(value) => setBy(value === "day" ? undefined : value)}
          options={ways.map((value) => ({ value, label: t(`sums.ways.${value}`) }))}
        />
        <WalletFilter choice={choice} />
        <Filter
          label={t("sums.span")}
          value={since && !until ? since : undefined}
          onChange={(value) => {
            setSince(value);
            setUntil(undefined);
          }}
          options={SPANS.map((days) => ({ value: daysAgo(days - 1), label: t("sums.lastDays", { count: days }) }))}
        />
        <DatePicker.RangePicker
          aria-label={t("charges.period")}
          value={since && until ? [dayjs(since), dayjs(until)] : null}
          onChange={(days) => {
            setSince(days?.[0]?.format("YYYY-MM-DD"));
            setUntil(days?.[1]?.format("YYYY-MM-DD"));
          }}
        />
      </Flex>
      {sums.isError && !sums.data ? (
        <ErrorCard error={sums.error} retry={() => sums.refetch()} />
      ) : !sums.data ? (
        <Skeleton active />
      ) : (
        <Card>
          <Statistic
            title={t(side === "payer" ? "sums.paid" : "sums.earned")}
            valueRender={() => <Unc value={sums.data.total} />}
          />
          <Typography.Paragraph type="secondary">
            {side === "payer" && !wallet_id && choice.wallets.length > 1 && `${t("sums.whichever")} `}
            {t("sums.about")}
          </Typography.Paragraph>
          {sums.data.by === "day" ? (
            <Days items={sums.data.items} />
          ) : (
            <Parts items={sums.data.items} total={Number(sums.data.total)} by={sums.data.by as By} />
          )}
        </Card>
      )}
    </Flex>
  );
}

const daysAgo = (days: number) =>
  dayjs(new Date().toISOString().slice(0, 10)).subtract(days, "day").format("YYYY-MM-DD");

/** Both days are shown whole. */
function moments(since: string | undefined, until: string | undefined) {
  return {
    since: since && `${since}T00:00:00Z`,
    until: until && `${dayjs(until).add(1, "day").format("YYYY-MM-DD")}T00:00:00Z`,
  };
}

function Days({ items }: { items: Sum[] }) {
  const { t } = useTranslation();
  const bars = useMemo(
    () => items.map(({ label, amount }) => ({ name: label, value: Number(amount), text: formatUnc(amount) })),
    [items],
  );
  return <BarChart label={t("sums.chart")} bars={bars} height={280} />;
}

function Parts({ items, total, by }: { items: Sum[]; total: number; by: By }) {
  const { t } = useTranslation();
  return (
    <Table<Sum>
      rowKey={(row) => row.key}
      dataSource={items}
      pagination={items.length > 20 ? { pageSize: 20 } : false}
      size="small"
      scroll={{ x: "max-content" }}
      locale={{ emptyText: <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t("sums.empty")} /> }}
      columns={[
        { title: t(`sums.ways.${by}`), dataIndex: "label", render: (label) => label || "–" },
        {
          title: t("sums.share"),
          key: "share",
          width: 200,
          render: (_, row) => (
            <Progress
              aria-label={row.label}
              size="small"
              percent={total > 0 ? Math.round((Number(row.amount) / total) * 1000) / 10 : 0}
            />
          ),
        },
        {
          title: t("charges.amount"),
          dataIndex: "amount",
          align: "right",
          render: (value) => <Unc value={value} strong />,
        },
        {
          title: t("time.accrued"),
          dataIndex: "accrued",
          align: "right",
          render: (value) => <Unc value={value} />,
        },
      ]}
    />
  );
}
