import { Button, Tag, Tooltip, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { useAddress } from "../address";
import { api, ok, type Schemas } from "../api/client";
import { formatDuration, formatUnc } from "../format";
import { said } from "../i18n/said";
import { useRole } from "../session";
import { Copyable, Moment, Simulated, Unc } from "../ui/bits";
import { Filter } from "../ui/Filter";
import { type Column, ListPage } from "../ui/ListPage";
import { OrderDrawer } from "./OrderDrawer";
import { daysQuery, Period } from "./Period";
import { useWalletChoice, WalletFilter } from "./WalletFilter";

type Charge = Schemas["ChargeOut"];
/** What of the amount nobody pays. */
const LESS = ["waived", "credited"] as const;

/** Consumption records: what one paid, or what one was paid. */
export function Charges({ side }: { side: Schemas["Side"] }) {
  const { t } = useTranslation();
  const [state, setState] = useAddress<"open" | "ended">("state");
  const [since, setSince] = useAddress("since");
  const [until, setUntil] = useAddress("until");
  const [order, setOrder] = useAddress("order");
  const choice = useWalletChoice(side === "payer");
  const operator = useRole() && side === "payee";
  const [hardware, setHardware] = useAddress<"mine">("hardware");
  const query = {
    role: operator && !hardware ? undefined : side,
    wallet_id: choice.id,
    open: state && state === "open",
    ...daysQuery(since, until),
  };
  return (
    <>
      <ListPage<Charge>
        about={t("charges.about")}
        queryKey={["charges", query]}
        load={(page) => ok(api.GET("/api/v1/charges", { params: { query: { ...page, ...query } } }))}
        columns={useChargeColumns(side, choice.chosen?.owner === "group")}
        rowKey={(charge) => charge.id}
        file={{ path: "/api/v1/charges", query }}
        empty={t(side === "payer" ? "charges.empty" : "charges.emptyMiner")}
        filtered={Boolean(state || since || choice.id || hardware)}
        filters={
          <>
            <WalletFilter choice={choice} />
            {operator && (
              <Filter
                label={t("orders.hardware")}
                value={hardware}
                onChange={setHardware}
                options={[{ value: "mine", label: t("orders.mine") }]}
              />
            )}
            <Filter
              label={t("common.status")}
              value={state}
              onChange={setState}
              options={[
                { value: "open", label: t("charges.open") },
                { value: "ended", label: t("charges.ended") },
              ]}
            />
            <Period
              value={[since, until]}
              onChange={(from, to) => {
                setSince(from);
                setUntil(to);
              }}
            />
          </>
        }
        expanded={(charge) => <ChargeDetail charge={charge} onOrder={setOrder} />}
      />
      <OrderDrawer id={order} onClose={() => setOrder(undefined)} />
    </>
  );
}

function useChargeColumns(side: Schemas["Side"], shared: boolean): Column<Charge>[] {
  const { t } = useTranslation();
  const payer: Column<Charge>[] =
    side === "payee" || shared ? [{ title: t("common.user"), dataIndex: "payer_name", sort: "payer_name" }] : [];
  return [
    {
      title: t("charges.task"),
      dataIndex: "workload",
      sort: "workload",
      render: (name, charge) => (
        <div style={{ maxWidth: 260 }}>
          <span className="tags">
            <Typography.Text strong>{name}</Typography.Text>
            <Simulated when={charge.simulated} />
            {charge.open && <Tag color="green">{t("charges.open")}</Tag>}
          </span>
          <Typography.Text type="secondary" className="reason">
            {charge.replica || charge.subtask}
            {charge.attempt > 1 && ` · ${t("charges.attempt", { n: charge.attempt })}`}
            {charge.group_name && ` · ${t("running.fromGroup", { group: charge.group_name })}`}
          </Typography.Text>
        </div>
      ),
    },
    ...payer,
    {
      title: `${t("common.spec")} · ${t("common.price")}`,
      dataIndex: "spec",
      sort: "spec",
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
      title: `${t("charges.start")} · ${t("charges.end")}`,
      dataIndex: "started_at",
      sort: "created_at",
      render: (at, charge) => (
        <>
          <Moment at={at} />
          {charge.ended_at && (
            <Typography.Text type="secondary" className="reason">
              <Moment at={charge.ended_at} />
            </Typography.Text>
          )}
        </>
      ),
    },
    {
      title: t("charges.seconds"),
      dataIndex: "seconds",
      align: "right",
      sort: "seconds",
      render: (seconds: number) => (
        <Tooltip title={formatDuration(seconds)}>
          <span className="number">{seconds.toFixed(3)}</span>
        </Tooltip>
      ),
    },
    {
      title: t("charges.amount"),
      dataIndex: "paid",
      align: "right",
      fixed: "end",
      sort: "paid",
      render: (paid, charge) => (
        <>
          <Unc value={paid} strong />
          {LESS.filter((key) => Number(charge[key]) > 0).map((key) => (
            <Typography.Text key={key} type="secondary" className="reason">
              {formatUnc(charge.amount)} − {t(`charges.${key}`)} {formatUnc(charge[key])}
            </Typography.Text>
          ))}
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

function ChargeDetail({ charge, onOrder }: { charge: Charge; onOrder: (id: string) => void }) {
  const { t } = useTranslation();
  const parts = [
    ["settled", charge.settled],
    ["share", charge.miner_share],
    ["fee", charge.platform_fee],
    ...(Number(charge.waived) > 0 ? [["waived", charge.waived] as const] : []),
    ...(Number(charge.credited) > 0
      ? ([
          ["credited", charge.credited],
          ["paid", charge.paid],
        ] as const)
      : []),
  ] as const;
  return (
    <span className="tags">
      <Typography.Text type="secondary">
        {t("charges.formula")}, {t("charges.rounding")}
        {parts.map(([key, value]) => (
          <span key={key}>
            {" "}
            · {t(`charges.${key}`)} <Unc value={value} />
          </span>
        ))}
        {charge.note && ` · ${said(charge.note)}`}
      </Typography.Text>
      {charge.order_id && (
        <Button size="small" onClick={() => charge.order_id && onOrder(charge.order_id)}>
          {t("charges.order")}
        </Button>
      )}
      <Copyable text={charge.id} label={t("common.id")} />
    </span>
  );
}
