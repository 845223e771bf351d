import { SafetyCertificateOutlined } from "@ant-design/icons";
import { Alert, Button, Card, Flex, Progress, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAddress } from "../address";
import { api, ok, type Schemas } from "../api/client";
import { said } from "../i18n/said";
import { Copyable } from "../ui/bits";
import { useFail } from "../ui/feedback";
import { Entries } from "./Entries";
import { daysQuery, Period } from "./Period";
import { verifyLedger } from "./verify";

type Verification = Schemas["VerificationOut"];

/** The whole journal, for operators, and the check of it. */
export function Ledger() {
  const { t } = useTranslation();
  const [since, setSince] = useAddress("since");
  const [until, setUntil] = useAddress("until");
  const query = daysQuery(since, until);
  return (
    <Flex vertical gap="middle">
      <Verify />
      <Typography.Text type="secondary">{t("ledger.about")}</Typography.Text>
      <Entries
        queryKey={["ledger", query]}
        load={({ limit, cursor }) =>
          ok(api.GET("/api/v1/ledger/entries", { params: { query: { limit, cursor, ...query } } }))
        }
        file={{ path: "/api/v1/ledger/entries", query }}
        filtered={Boolean(since)}
        filters={
          <Period
            value={[since, until]}
            onChange={(from, to) => {
              setSince(from);
              setUntil(to);
            }}
          />
        }
        empty={t("ledger.empty")}
      />
    </Flex>
  );
}

function Verify() {
  const { t } = useTranslation();
  const fail = useFail();
  const [busy, setBusy] = useState(false);
  const [state, setState] = useState<Verification>();
  const run = async () => {
    setBusy(true);
    setState(undefined);
    try {
      await verifyLedger(setState);
    } catch (error) {
      fail(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card size="small">
      <Flex vertical gap="small" align="start">
        <Typography.Text type="secondary">{t("ledger.verifyHint")}</Typography.Text>
        <Button type="primary" icon={<SafetyCertificateOutlined aria-hidden />} loading={busy} onClick={run}>
          {t("ledger.verify")}
        </Button>
        {state && !state.done && busy && (
          <div style={{ width: "100%" }}>
            <Progress
              percent={state.entries ? Math.floor((state.checked / state.entries) * 100) : 0}
              aria-label={t("ledger.verify")}
            />
            <Typography.Text type="secondary">
              {t("ledger.verifying", { checked: state.checked, entries: state.entries })}
            </Typography.Text>
          </div>
        )}
        {state && !busy && <Found state={state} />}
      </Flex>
    </Card>
  );
}

function Found({ state }: { state: Verification }) {
  const { t } = useTranslation();
  const { fault } = state;
  if (!state.done) return <Alert type="warning" showIcon role="alert" title={t("ledger.stopped")} />;
  if (fault)
    return (
      <Alert
        type="error"
        showIcon
        role="alert"
        title={t("ledger.bad")}
        description={
          <>
            <div>
              {t("ledger.firstBad", {
                what: t([`ledger.whats.${fault.what}`, fault.what] as never, { defaultValue: fault.what }),
                id: fault.id,
              })}
              {fault.seq !== null && ` (${t("ledger.seq")} ${fault.seq})`}
            </div>
            {said(fault.detail)}
          </>
        }
      />
    );
  return (
    <Alert
      type="success"
      showIcon
      role="status"
      title={t("ledger.good", { entries: state.checked, seconds: state.seconds })}
      description={
        state.head && (
          <>
            <div>{t("ledger.head")}</div>
            <span style={{ overflowWrap: "anywhere" }}>
              <Copyable text={`${state.checked}:${state.head}`} />
            </span>
          </>
        )
      }
    />
  );
}
