import { Card, Flex, Typography } from "antd";
import { useTranslation } from "react-i18next";
import type { Schemas } from "../api/client";
import { said } from "../i18n/said";
import { Moment, Unc } from "../ui/bits";

type Order = Schemas["OrderDetail"];
type Attempt = Schemas["AttemptLine"];

/** How an order's cost comes about: subtasks, their replicas, their attempts, each a sum of what is below it. */
export function OrderLines({ order }: { order: Order }) {
  const { t } = useTranslation();
  return (
    <section>
      <Typography.Title level={5}>{t("orders.explained")}</Typography.Title>
      <Typography.Paragraph type="secondary">
        {t(order.subtasks.length ? "orders.explainedHint" : "orders.neverRan")}
      </Typography.Paragraph>
      <Flex vertical gap="small">
        {order.subtasks.map((subtask) => (
          <Card
            key={subtask.subtask}
            size="small"
            title={t("orders.subtask", { name: subtask.subtask })}
            extra={<Unc value={subtask.paid} strong />}
          >
            {subtask.replicas.map((replica) => (
              <div key={replica.replica} className="money-replica">
                <Line label={t("orders.replica", { name: replica.replica })} amount={replica.paid} />
                <ol className="lines">
                  {replica.attempts.map((attempt) => (
                    <AttemptItem key={attempt.id} attempt={attempt} />
                  ))}
                </ol>
              </div>
            ))}
          </Card>
        ))}
        {order.subtasks.length > 0 && <Line label={t("orders.sumOf")} amount={order.cost} strong />}
      </Flex>
    </section>
  );
}

function Line({ label, amount, strong }: { label: string; amount: string; strong?: boolean }) {
  return (
    <Flex justify="space-between" gap="small" style={strong ? { padding: "4px 12px" } : undefined}>
      <Typography.Text strong={strong}>{label}</Typography.Text>
      <Unc value={amount} strong={strong} />
    </Flex>
  );
}

/** amount − waived − credited = paid. */
function AttemptItem({ attempt }: { attempt: Attempt }) {
  const { t } = useTranslation();
  const less = (["waived", "credited"] as const).filter((key) => Number(attempt[key]) > 0);
  return (
    <li>
      <Flex justify="space-between" gap="small" wrap>
        <span className="tags">
          {t("orders.attempt", { n: attempt.attempt })}
          <Typography.Text type="secondary">
            <Moment at={attempt.started_at} /> → {attempt.open ? t("charges.open") : <Moment at={attempt.ended_at} />}
          </Typography.Text>
        </span>
        <Unc value={attempt.paid} />
      </Flex>
      <Typography.Text type="secondary" className="number" style={{ whiteSpace: "normal" }}>
        {said(attempt.formula)}
      </Typography.Text>
      {less.map((key) => (
        <div key={key}>
          <Typography.Text type="secondary">
            − {t(`charges.${key}`)} <Unc value={attempt[key]} />
          </Typography.Text>
        </div>
      ))}
      <div>
        <Typography.Text type="secondary">
          {t("orders.entries", { count: attempt.entries })} · {t("charges.settled")} <Unc value={attempt.settled} /> ·{" "}
          {t("charges.share")} <Unc value={attempt.miner_share} /> · {t("charges.fee")}{" "}
          <Unc value={attempt.platform_fee} />
        </Typography.Text>
      </div>
      {attempt.note && <Typography.Text type="secondary">{said(attempt.note)}</Typography.Text>}
    </li>
  );
}
