import { SafetyCertificateOutlined } from "@ant-design/icons";
import { Alert, Button, Card, Flex, Progress, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAddress } from "../address";
import { api, ok, type Schemas } from "../api/client";
import { said } from "../i18n/said";
import { Copyable, Moment } from "../ui/bits";
import { useFail } from "../ui/feedback";
import { Entries } from "./Entries";
import { daysQuery, Period } from "./Period";
import { verifyJournal } from "./verify";

type Verification = Schemas["VerificationOut"];

/** The whole journal, for operators, and the check of it. */
export function Journal() {
  const { t } = useTranslation();
  const [since, setSince] = useAddress("since");
  const [until, setUntil] = useAddress("until");
  const query = daysQuery(since, until);
  return (
    <Flex vertical gap="middle">
      <Verify />
      <Typography.Text type="secondary">{t("journal.about")}</Typography.Text>
      <Entries
        queryKey={["journal", query]}
        load={({ limit, cursor }) =>
          ok(api.GET("/api/v1/journal/entries", { params: { query: { limit, cursor, ...query } } }))
        }
        file={{ path: "/api/v1/journal/entries", query }}
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
        empty={t("journal.empty")}
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
      await verifyJournal(setState);
    } catch (error) {
      fail(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card size="small">
      <Flex vertical gap="small" align="start">
        <Typography.Text type="secondary">{t("journal.verifyHint")}</Typography.Text>
        <Button type="primary" icon={<SafetyCertificateOutlined aria-hidden />} loading={busy} onClick={run}>
          {t("journal.verify")}
        </Button>
        {state && !state.done && busy && (
          <div style={{ width: "100%" }}>
            <Progress
              percent={state.entries ? Math.floor((state.checked / state.entries) * 100) : 0}
              aria-label={t("journal.verify")}
            />
            <Typography.Text type="secondary">
              {t("journal.verifying", { checked: state.checked, entries: state.entries })}
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
  if (!state.done) return <Alert type="warning" showIcon role="alert" title={t("journal.stopped")} />;
  if (fault)
    return (
      <Alert
        type="error"
        showIcon
        role="alert"
        title={t("journal.bad")}
        description={
          <>
            <div>
              {t("journal.firstBad", {
                what: t([`journal.whats.${fault.what}`, fault.what] as never, { defaultValue: fault.what }),
                id: fault.id,
              })}
              {fault.seq !== null && ` (${t("journal.seq")} ${fault.seq})`}
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
      title={t("journal.good", { entries: state.checked, seconds: state.seconds })}
      description={
        state.head && (
          <>
            {state.anchor && (
              <div>
                {t("journal.anchor", { source: state.anchor.source })} <Moment at={state.anchor.at} />
              </div>
            )}
            <div>{t("journal.head")}</div>
            <span style={{ overflowWrap: "anywhere" }}>
              <Copyable text={`${state.checked}:${state.head}`} />
            </span>
          </>
        )
      }
    />
  );
}
