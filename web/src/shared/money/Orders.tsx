import { Button, Flex, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { useAddress } from "../address";
import { api, ok, type Schemas } from "../api/client";
import { said } from "../i18n/said";
import { useRole, useSession } from "../session";
import { Moment, Simulated, Unc } from "../ui/bits";
import { Filter } from "../ui/Filter";
import { type Column, ListPage } from "../ui/ListPage";
import { OrderState, Stars } from "./bits";
import { OrderDrawer } from "./OrderDrawer";
import { daysQuery, Period } from "./Period";
import { RatingOf } from "./RatingOf";
import { useWalletChoice, WalletFilter } from "./WalletFilter";

type Order = Schemas["OrderOut"];
type State = Order["state"];
const STATES: State[] = ["open", "settled"];

/** One's orders, or those on one's hardware; an operator sees those on everybody's. */
export function Orders({ side }: { side: Schemas["Side"] }) {
  const { t } = useTranslation();
  const operator = useRole("operator") && side === "payee";
  const [state, setState] = useAddress<State>("state");
  const [rated, setRated] = useAddress<"yes" | "no">("rated");
  const [hardware, setHardware] = useAddress<"mine">("hardware");
  const [since, setSince] = useAddress("since");
  const [until, setUntil] = useAddress("until");
  const [shown, setShown] = useAddress("order");
  const choice = useWalletChoice(side === "payer");
  const query = {
    // Of a group's wallet, its managers see the orders of all members.
    role: (operator && !hardware) || choice.id ? undefined : side,
    wallet_id: choice.id,
    state,
    rated: rated && rated === "yes",
    ...daysQuery(since, until),
  };
  return (
    <Flex vertical gap="middle">
      {side === "payee" && <Ratings everybody={operator && !hardware} />}
      <ListPage<Order>
        about={t(side === "payer" ? "orders.about" : "orders.aboutMiner")}
        queryKey={["orders", query]}
        load={(page) => ok(api.GET("/api/v1/orders", { params: { query: { ...page, ...query } } }))}
        columns={useOrderColumns(side, choice.chosen?.owner === "group", setShown)}
        rowKey={(order) => order.id}
        file={{ path: "/api/v1/orders", query }}
        filtered={Boolean(state || rated || since || hardware || choice.id)}
        filters={
          <>
            <WalletFilter choice={choice} />
            <Filter
              label={t("common.status")}
              value={state}
              onChange={setState}
              options={STATES.map((value) => ({ value, label: t(`orders.states.${value}`) }))}
            />
            <Filter
              label={t("orders.rated")}
              value={rated}
              onChange={setRated}
              options={[
                { value: "yes", label: t("orders.ratedYes") },
                { value: "no", label: t("orders.ratedNo") },
              ]}
            />
            {operator && (
              <Filter
                label={t("orders.hardware")}
                value={hardware}
                onChange={setHardware}
                options={[{ value: "mine", label: t("orders.mine") }]}
              />
            )}
            <Period
              value={[since, until]}
              onChange={(from, to) => {
                setSince(from);
                setUntil(to);
              }}
            />
          </>
        }
        empty={t(side === "payer" ? "orders.empty" : "orders.emptyMiner")}
      />
      <OrderDrawer id={shown} onClose={() => setShown(undefined)} />
    </Flex>
  );
}

function useOrderColumns(side: Schemas["Side"], shared: boolean, onShow: (id: string) => void): Column<Order>[] {
  const { t } = useTranslation();
  const renter: Column<Order>[] =
    side === "payee" || shared ? [{ title: t("orders.renter"), dataIndex: "owner_name" }] : [];
  return [
    {
      title: t("orders.order"),
      dataIndex: "workload",
      render: (name, order) => (
        <div style={{ maxWidth: 280 }}>
          <span className="tags">
            <Button type="link" className="wrapped" onClick={() => onShow(order.id)}>
              {name}
            </Button>
            <OrderState state={order.state} />
            <Simulated when={order.simulated} />
          </span>
          {order.reason && (
            <Typography.Text type="secondary" className="reason">
              {said(order.reason)}
            </Typography.Text>
          )}
        </div>
      ),
    },
    ...renter,
    {
      title: `${t("common.spec")} · ${t("common.price")}`,
      sort: "unit_price",
      dataIndex: "spec",
      render: (spec, order) => (
        <>
          {spec}
          <Typography.Text type="secondary" className="reason">
            <Unc value={order.unit_price} perHour />
            {order.tasks > 1 && ` · ${t("orders.tasks", { count: order.tasks })}`} · {order.pool}
          </Typography.Text>
        </>
      ),
    },
    {
      title: t("orders.payer"),
      dataIndex: "payer",
      render: (_, order) => order.group_name || t(side === "payer" ? "orders.me" : "orders.own"),
    },
    {
      title: t("orders.created"),
      sort: "created_at",
      dataIndex: "created_at",
      render: (at, order) => (
        <>
          <Moment at={at} />
          {order.settled_at && (
            <Typography.Text type="secondary" className="reason">
              {t("orders.settledAt")} <Moment at={order.settled_at} />
            </Typography.Text>
          )}
        </>
      ),
    },
    {
      title: t("orders.rated"),
      dataIndex: "stars",
      render: (stars: number | null, order) =>
        stars ? (
          <>
            <Stars value={stars} />
            {order.comment && (
              <Typography.Text type="secondary" className="reason">
                {order.comment}
              </Typography.Text>
            )}
          </>
        ) : (
          "–"
        ),
    },
    {
      title: t("orders.cost"),
      sort: "cost",
      dataIndex: "cost",
      align: "right",
      fixed: "end",
      render: (value) => <Unc value={value} strong />,
    },
  ];
}

/** What renters gave to one's hardware, or to all. */
function Ratings({ everybody }: { everybody: boolean }) {
  const { user } = useSession();
  return <RatingOf miner_id={everybody ? undefined : user.id} />;
}
