import { useQuery } from "@tanstack/react-query";
import { Descriptions, Drawer, Flex, Skeleton, Typography } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { formatDuration } from "../format";
import { said } from "../i18n/said";
import { Copyable, Moment, Simulated, Unc } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";
import { CreditOrder } from "./CreditOrder";
import { Entries } from "./Entries";
import { OrderLines } from "./OrderLines";
import { OrderState } from "./bits";
import { Rating } from "./Rating";

type Order = Schemas["OrderDetail"];

/** An order: what was agreed, what came of it, and how every micro-UNC of its cost comes about. */
export function OrderDrawer({ id, onClose }: { id: string | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Drawer title={t("orders.order")} open={Boolean(id)} onClose={onClose} size={900} destroyOnHidden>
      {id && <OrderPage id={id} />}
    </Drawer>
  );
}

function OrderPage({ id }: { id: string }) {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery({
    queryKey: ["orders", "one", id],
    queryFn: () => ok(api.GET("/api/v1/orders/{order_id}", { params: { path: { order_id: id } } })),
  });
  if (error && !data) return <ErrorCard error={error} retry={refetch} />;
  if (!data) return <Skeleton active />;
  return (
    <Flex vertical gap="middle">
      <Flex justify="space-between" align="center" gap="small" wrap>
        <span className="tags">
          <Typography.Title level={4} style={{ margin: 0 }}>
            {data.workload}
          </Typography.Title>
          <OrderState state={data.state} />
          <Simulated when={data.simulated} />
        </span>
        <span style={{ fontSize: 20 }}>
          <Unc value={data.cost} strong />
        </span>
      </Flex>
      <Result order={data} />
      <CreditOrder order={data} />
      <OrderLines order={data} />
      <Agreed order={data} />
      <Rating order={data} />
      <section>
        <Typography.Title level={5}>{t("orders.journal")}</Typography.Title>
        <Entries
          queryKey={["orders", "one", id, "entries"]}
          load={({ limit, cursor }) =>
            ok(
              api.GET("/api/v1/orders/{order_id}/entries", {
                params: { path: { order_id: id }, query: { limit, cursor } },
              }),
            )
          }
          file={{ path: `/api/v1/orders/${id}/entries` }}
          empty={t("orders.noEntries")}
        />
      </section>
    </Flex>
  );
}

type Fact = readonly [label: string, value: ReactNode];

function Facts({ title, facts }: { title: string; facts: Fact[] }) {
  return (
    <section>
      <Typography.Title level={5}>{title}</Typography.Title>
      <Descriptions
        size="small"
        bordered
        column={{ xs: 1, md: 2 }}
        items={facts.map(([label, children]) => ({ key: label, label, children }))}
      />
    </section>
  );
}

function Result({ order }: { order: Order }) {
  const { t } = useTranslation();
  const facts: Fact[] = [
    [t("orders.cost"), <Unc key="cost" value={order.cost} strong />],
    [t("orders.time"), `${formatDuration(order.seconds)} (${order.seconds.toFixed(3)} s)`],
    ...(Number(order.credited) > 0
      ? [[t("charges.credited"), <Unc key="credited" value={order.credited} />] as const]
      : []),
    ...(Number(order.waived) > 0 ? [[t("charges.waived"), <Unc key="waived" value={order.waived} />] as const] : []),
    [t("orders.settledAt"), <Moment key="settled" at={order.settled_at} />],
    [t("orders.reason"), said(order.reason) || "–"],
  ];
  return <Facts title={t("orders.result")} facts={facts} />;
}

function Agreed({ order }: { order: Order }) {
  const { t } = useTranslation();
  const facts: Fact[] = [
    [t("orders.created"), <Moment key="at" at={order.created_at} />],
    [t("orders.renter"), order.owner_name],
    [t("orders.payer"), order.group_name || t("orders.own")],
    [t("orders.miner"), order.miner_name],
    [t("common.spec"), order.spec],
    [t("common.pool"), order.pool],
    [
      t("orders.unitPrice"),
      <span key="price" className="tags">
        <Unc value={order.unit_price} perHour /> · {t("orders.tasks", { count: order.tasks })}
      </span>,
    ],
    [t("orders.estimate"), <Unc key="estimate" value={order.estimate} />],
    [t("orders.maxCost"), order.max_cost ? <Unc key="max" value={order.max_cost} /> : t("orders.noLimit")],
    [t("orders.maxHours"), order.max_hours ? t("orders.hours", { count: order.max_hours }) : t("orders.noLimit")],
    [t("orders.capsThen"), order.caps.length ? order.caps.map((cap) => said(cap)).join("; ") : t("caps.none")],
    [t("orders.fault"), t([`orders.faults.${order.fault_credit}`, "orders.faults.none"] as never)],
    [t("orders.fee"), `${order.fee_percent} %`],
    [t("common.id"), <Copyable key="id" text={order.id} />],
  ];
  return <Facts title={t("orders.agreed")} facts={facts} />;
}
