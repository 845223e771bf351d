import type { Schemas } from "../api/client";
import { formatDuration, formatExact } from "../format";
import { Unc, useTick } from "../ui/bits";
import { Card, Col, Row, Statistic, Typography } from "antd";
import { useTranslation } from "react-i18next";

type Figures = Pick<Schemas["WalletOut"], "available" | "burn_per_hour" | "runs_out_at"> &
  Partial<Schemas["WalletOut"]>;
const WARN_S = 3600;

export const secondsUntil = (at: string) => Math.max(0, (Date.parse(at) - Date.now()) / 1000);

/** Remaining machine hours, how fast they are used up, and when they end. */
export function WalletCards({ wallet }: { wallet: Figures }) {
  const { t } = useTranslation();
  useTick();
  const end = wallet.runs_out_at;
  const seconds = end ? secondsUntil(end) : null;
  const low = seconds !== null && seconds < WARN_S;
  return (
    <Row gutter={[16, 16]}>
      <Col xs={24} sm={8}>
        <Card size="small" style={{ height: "100%" }}>
          <Statistic title={t("time.remaining")} valueRender={() => <Unc value={wallet.available} />} />
          <Typography.Text type="secondary">
            {wallet.balance !== undefined && wallet.held !== undefined && wallet.accrued !== undefined ? (
              <>
                {t("time.balance")} <Unc value={wallet.balance} /> − {t("time.accrued")} <Unc value={wallet.accrued} />{" "}
                − {t("time.held")} <Unc value={wallet.held} />
              </>
            ) : (
              t("time.availableHint")
            )}
          </Typography.Text>
        </Card>
      </Col>
      <Col xs={24} sm={8}>
        <Card size="small" style={{ height: "100%" }}>
          <Statistic title={t("time.burn")} valueRender={() => <Unc value={wallet.burn_per_hour} perHour />} />
          <Typography.Text type="secondary">{t("time.burnHint")}</Typography.Text>
        </Card>
      </Col>
      <Col xs={24} sm={8}>
        <Card size="small" style={{ height: "100%" }}>
          <Statistic
            title={t("time.runsOut")}
            styles={{ content: low ? { color: "#d4380d" } : undefined }}
            valueRender={() => (
              <span className="number">{seconds === null ? t("time.never") : formatDuration(seconds)}</span>
            )}
          />
          <Typography.Text type={low ? "danger" : "secondary"}>
            {end ? t("time.runsOutAt", { at: formatExact(end).slice(0, 16) }) : t("time.neverHint")}
            {low && ` ${t("time.low")}`}
          </Typography.Text>
        </Card>
      </Col>
    </Row>
  );
}
