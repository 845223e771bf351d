import type { Schemas } from "../api/client";
import { formatDuration, secondsLeft } from "../format";
import { Unc, When } from "../ui/bits";
import { Card, Col, Row, Statistic, Typography } from "antd";
import { useTranslation } from "react-i18next";

type Figures = Pick<Schemas["WalletOut"], "available" | "burn_per_hour" | "runs_out_at"> &
  Partial<Schemas["WalletOut"]>;
const WARN_S = 3600;

/** Remaining machine hours, how fast they are used up, and when they end. */
export function WalletCards({ wallet }: { wallet: Figures }) {
  const { t } = useTranslation();
  const seconds = secondsLeft(wallet.available, wallet.burn_per_hour);
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
            {seconds === null ? t("time.neverHint") : low ? t("time.low") : <When at={wallet.runs_out_at} />}
          </Typography.Text>
        </Card>
      </Col>
    </Row>
  );
}
