import { useQuery } from "@tanstack/react-query";
import { Button, Card, Flex, Skeleton, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { useAddress } from "../address";
import { api, MAX_ROWS, ok, type Schemas } from "../api/client";
import { addUnc } from "../format";
import { Simulated, Unc, When } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";
import { OrderDrawer } from "./OrderDrawer";

type Charge = Schemas["ChargeOut"];

/** What one runs now, whoever's wallet pays: what each costs per hour and has cost so far. */
export function Running() {
  const { t } = useTranslation();
  const [order, setOrder] = useAddress("order");
  const { data, error, refetch } = useQuery({
    queryKey: ["charges", "running"],
    queryFn: () =>
      ok(api.GET("/api/v1/charges", { params: { query: { role: "payer", open: true, limit: MAX_ROWS } } })),
  });
  const total = (data?.items ?? []).map(({ price }) => price).reduce(addUnc, "0");
  return (
    <Card
      size="small"
      title={<h4 className="card-title">{t("running.title")}</h4>}
      extra={data && data.items.length > 0 && <Unc value={total} perHour strong />}
    >
      {error && !data ? (
        <ErrorCard error={error} retry={refetch} />
      ) : !data ? (
        <Skeleton active title={false} />
      ) : data.items.length === 0 ? (
        <Typography.Text type="secondary">{t("running.none")}</Typography.Text>
      ) : (
        <ul className="lines">
          {data.items.map((charge) => (
            <Item key={charge.id} charge={charge} onOrder={setOrder} />
          ))}
        </ul>
      )}
      <OrderDrawer id={order} onClose={() => setOrder(undefined)} />
    </Card>
  );
}

function Item({ charge, onOrder }: { charge: Charge; onOrder: (id: string) => void }) {
  const { t } = useTranslation();
  return (
    <li>
      <Flex justify="space-between" gap="small" wrap align="center">
        <div>
          <span className="tags">
            <Link to={`/notebooks?search=${encodeURIComponent(charge.workload)}`}>{charge.workload}</Link>
            <Typography.Text type="secondary">{charge.replica}</Typography.Text>
            <Simulated when={charge.simulated} />
          </span>
          <Typography.Text type="secondary" className="reason">
            {charge.spec}
            {charge.started_at && (
              <>
                {" "}
                · {t("running.since")} <When at={charge.started_at} />
              </>
            )}
            {charge.group_name && ` · ${t("running.fromGroup", { group: charge.group_name })}`}
          </Typography.Text>
        </div>
        <span className="tags">
          <Unc value={charge.price} perHour strong />
          <Typography.Text type="secondary">
            {t("running.soFar")} <Unc value={charge.amount} />
          </Typography.Text>
          {charge.order_id && (
            <Button size="small" onClick={() => charge.order_id && onOrder(charge.order_id)}>
              {t("charges.order")}
            </Button>
          )}
        </span>
      </Flex>
    </li>
  );
}
