import { DatePicker, Tag, Tooltip, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, downloadCsv, ok, type Schemas } from "../api/client";
import { formatDuration } from "../format";
import { Copyable, Moment, Simulated, Unc } from "./bits";
import { Filter } from "./Filter";
import { by, type Column, ListPage } from "./ListPage";

type Period = [since: string | undefined, until: string | undefined];
type Charge = Schemas["ChargeOut"];
type Recharge = Schemas["RechargeOut"];

/** Consumption records: what one paid, or what one was paid. */
export function Charges({ side }: { side: "payer" | "payee" }) {
  const { t } = useTranslation();
  const [state, setState] = useState<"open" | "ended">();
  const [[since, until], setPeriod] = useState<Period>([undefined, undefined]);
  const query = { role: side, open: state && state === "open", since, until };
  const csvQuery = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]));
  return (
    <ListPage<Charge>
      about={t("charges.about")}
      queryKey={["charges", query]}
      load={(page) => ok(api.GET("/api/v1/charges", { params: { query: { ...page, ...query } } }))}
      columns={useChargeColumns(side)}
      rowKey={(charge) => charge.id}
      csv={() => downloadCsv("/api/v1/charges", Object.fromEntries(csvQuery), "consumption-records.csv")}
      empty={t(side === "payer" ? "charges.empty" : "charges.emptyMiner")}
      searchable={false}
      filtered={Boolean(state || since || until)}
      filters={
        <>
          <Filter
            label={t("common.status")}
            value={state}
            onChange={setState}
            options={[
              { value: "open", label: t("charges.open") },
              { value: "ended", label: t("charges.ended") },
            ]}
          />
          <DatePicker.RangePicker
            aria-label={t("charges.period")}
            onChange={(days) =>
              setPeriod([days?.[0]?.startOf("day").toISOString(), days?.[1]?.endOf("day").toISOString()])
            }
          />
        </>
      }
      expanded={(charge) => <ChargeDetail charge={charge} />}
    />
  );
}

function useChargeColumns(side: "payer" | "payee"): Column<Charge>[] {
  const { t } = useTranslation();
  const payer: Column<Charge>[] =
    side === "payee" ? [{ title: t("common.user"), dataIndex: "payer_name", sorter: by((row) => row.payer_name) }] : [];
  return [
    {
      title: t("charges.task"),
      dataIndex: "workload",
      sorter: by((row) => row.workload),
      render: (name, charge) => (
        <>
          <span className="tags">
            <Typography.Text strong>{name}</Typography.Text>
            <Simulated when={charge.simulated} />
            {charge.open && <Tag color="green">{t("charges.open")}</Tag>}
          </span>
          <Typography.Text type="secondary" className="reason">
            {charge.replica || charge.subtask}
            {charge.attempt > 1 && ` · ${t("charges.attempt", { n: charge.attempt })}`}
          </Typography.Text>
        </>
      ),
    },
    ...payer,
    {
      title: `${t("common.spec")} · ${t("common.price")}`,
      dataIndex: "spec",
      sorter: by((row) => row.spec),
      render: (spec, charge) => (
        <>
          {spec}
          <span className="reason">
            <Unc value={charge.price} perHour />
          </span>
        </>
      ),
    },
    {
      title: t("charges.start"),
      dataIndex: "started_at",
      sorter: by((row) => row.started_at),
      render: (at) => <Moment at={at} />,
    },
    {
      title: t("charges.end"),
      dataIndex: "ended_at",
      sorter: by((row) => row.ended_at),
      render: (at) => <Moment at={at} />,
    },
    {
      title: t("charges.seconds"),
      dataIndex: "seconds",
      align: "right",
      sorter: by((row) => row.seconds),
      render: (seconds: number) => (
        <Tooltip title={formatDuration(seconds)}>
          <span className="number">{seconds.toFixed(3)}</span>
        </Tooltip>
      ),
    },
    {
      title: t("charges.amount"),
      dataIndex: "amount",
      align: "right",
      fixed: "end",
      sorter: by((row) => Number(row.amount)),
      render: (value, charge) => (
        <>
          <Unc value={value} strong />
          {side === "payee" && (
            <Typography.Text type="secondary" className="reason">
              {t("charges.share")} <Unc value={charge.miner_share} />
            </Typography.Text>
          )}
        </>
      ),
    },
  ];
}

function ChargeDetail({ charge }: { charge: Charge }) {
  const { t } = useTranslation();
  return (
    <span className="tags">
      <Typography.Text type="secondary">{t("charges.formula")}</Typography.Text>
      <Typography.Text type="secondary">
        · {t("charges.settled")} <Unc value={charge.settled} /> · {t("charges.share")}{" "}
        <Unc value={charge.miner_share} /> · {t("charges.fee")} <Unc value={charge.platform_fee} />
        {Number(charge.waived) > 0 && (
          <>
            {" "}
            · {t("charges.waived")} <Unc value={charge.waived} />
          </>
        )}
      </Typography.Text>
      <Copyable text={charge.id} label={t("common.id")} />
    </span>
  );
}

/** Recharge records: money into and out of wallets by hand. */
export function Recharges({ everyone }: { everyone?: boolean }) {
  const { t } = useTranslation();
  const owner: Column<Recharge>[] = everyone
    ? [{ title: t("common.user"), dataIndex: "owner_name", sorter: by((row) => row.owner_name) }]
    : [];
  const columns: Column<Recharge>[] = [
    { title: t("recharges.at"), dataIndex: "at", sorter: by((row) => row.at), render: (at) => <Moment at={at} /> },
    ...owner,
    {
      title: t("recharges.kind"),
      dataIndex: "kind",
      render: (kind) => (
        <Tag color={kind === "recharge" ? "green" : "orange"}>
          {t(kind === "recharge" ? "recharges.recharge" : "recharges.deduct")}
        </Tag>
      ),
    },
    {
      title: t("charges.amount"),
      dataIndex: "amount",
      align: "right",
      sorter: by((row) => Number(row.amount)),
      render: (value) => <Unc value={value} strong />,
    },
    { title: t("recharges.note"), dataIndex: "note" },
    { title: t("recharges.by"), dataIndex: "actor_name" },
  ];
  return (
    <ListPage
      queryKey={["recharges"]}
      load={(query) => ok(api.GET("/api/v1/recharges", { params: { query } }))}
      columns={columns}
      rowKey={(row) => row.id}
      csv={() => downloadCsv("/api/v1/recharges", {}, "recharge-records.csv")}
      empty={t(everyone ? "recharges.emptyMiner" : "recharges.empty")}
    />
  );
}
