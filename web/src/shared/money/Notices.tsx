import { Alert, Button, Card, Checkbox, Drawer, Flex, Skeleton, Tag, Typography } from "antd";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { useAddress } from "../address";
import { api, ok, type Schemas } from "../api/client";
import { formatExact, formatUnc } from "../format";
import { LANGUAGES, type Language } from "../i18n";
import { said } from "../i18n/said";
import { queryClient } from "../query";
import { useSession } from "../session";
import { When } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";
import { Filter } from "../ui/Filter";
import { useAct } from "../ui/feedback";
import { type Column, ListPage } from "../ui/ListPage";
import { Deliveries } from "./Deliveries";
import { KINDS, useNoticeSettings } from "./noticeSettings";
import { OrderDrawer } from "./OrderDrawer";
import { daysQuery, Period } from "./Period";
import { Direction } from "./Recharges";

type Notice = Schemas["NoticeOut"];
type Kind = Schemas["NoticeKind"];
const COLOURS: Record<Exclude<Kind, "recharged">, string> = {
  low_balance: "red",
  stop_announced: "orange",
  workload_stopped: "volcano",
  order_settled: "blue",
  credited: "green",
};

/** What happened to one's money; looking at it marks it as seen. */
export function Notices() {
  const { t } = useTranslation();
  const act = useAct();
  const [kind, setKind] = useAddress<Kind>("kind");
  const [since, setSince] = useAddress("since");
  const [until, setUntil] = useAddress("until");
  const [order, setOrder] = useAddress("order");
  const query = { kind, ...daysQuery(since, until) };
  const settings = useNoticeSettings();
  useEffect(() => {
    // Marked when one leaves, so that what is new stays marked while one reads.
    return () => void seen().then(() => queryClient.invalidateQueries({ queryKey: ["notices"] }));
  }, []);
  const columns: Column<Notice>[] = [
    { title: t("notices.at"), dataIndex: "at", render: (at) => <When at={at} /> },
    {
      title: t("notices.kind"),
      dataIndex: "kind",
      render: (value: Kind, notice) => (
        <span className="tags">
          {value === "recharged" ? (
            <Direction kind={notice.detail.change} />
          ) : (
            <Tag color={COLOURS[value]}>{t(`notices.kinds.${value}`)}</Tag>
          )}
          {!notice.seen && <Tag>{t("notices.new")}</Tag>}
        </span>
      ),
    },
    { title: t("notices.what"), key: "what", render: (_, notice) => <Said notice={notice} /> },
    { key: "actions", render: (_, notice) => <Further notice={notice} onOrder={setOrder} /> },
  ];
  return (
    <Flex vertical gap="large">
      <Mail />
      <ListPage
        about={t("notices.about")}
        queryKey={["notices", query]}
        load={({ limit, cursor }) => ok(api.GET("/api/v1/notices", { params: { query: { limit, cursor, ...query } } }))}
        file={{ path: "/api/v1/notices", query }}
        extra={
          <Button disabled={!settings.data?.unseen} onClick={() => act(seen)}>
            {t("notices.seeAll")}
          </Button>
        }
        columns={columns}
        rowKey={(notice) => notice.id}
        searchable={false}
        filtered={Boolean(kind || since)}
        filters={
          <>
            <Filter
              label={t("notices.kind")}
              value={kind}
              onChange={setKind}
              options={KINDS.map((value) => ({ value, label: t(`notices.kinds.${value}`) }))}
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
        empty={t("notices.empty")}
      />
      <OrderDrawer id={order} onClose={() => setOrder(undefined)} />
    </Flex>
  );
}

/** What happened, in a sentence. */
function Said({ notice }: { notice: Notice }) {
  const { t } = useTranslation();
  const { user } = useSession();
  const detail = notice.detail as Record<string, string | null>;
  const text = (key: string) => String(detail[key] ?? "–");
  const unc = (key: string) => formatUnc(text(key).replace(/^-|–/, "") || "0");
  const mine = notice.owner === "user" && notice.owner_name === user.username;
  const wallet = t(mine ? "notices.wallet.mine" : `notices.wallet.${notice.owner}`, { owner: notice.owner_name });
  const end = detail.runs_out_at;
  const deducted = detail.change === "deduct";
  const sentences: Record<Kind, () => string> = {
    low_balance: () =>
      end
        ? t("notices.said.low_balance", {
            wallet,
            available: unc("available"),
            burn: unc("burn_per_hour"),
            at: formatExact(end).slice(0, 16),
          })
        : t("notices.said.low_idle", { wallet, available: unc("available") }),
    stop_announced: () =>
      t("notices.said.stop_announced", {
        workload: text("workload"),
        reason: said(text("reason")),
        at: detail.stops_at ? formatExact(detail.stops_at).slice(0, 16) : "–",
      }),
    workload_stopped: () =>
      t("notices.said.workload_stopped", { workload: text("workload"), reason: said(text("reason")) }),
    order_settled: () =>
      t("notices.said.order_settled", {
        workload: text("workload"),
        spec: text("spec"),
        cost: unc("cost"),
        wallet,
      }),
    recharged: () =>
      t(deducted ? "notices.said.deducted" : "notices.said.recharged", {
        amount: unc("amount"),
        wallet,
        by: text("by"),
      }),
    credited: () =>
      t("notices.said.creditedByHand", { by: text("by"), amount: unc("amount"), workload: text("workload") }),
  };
  const more =
    notice.kind === "recharged"
      ? said(detail.note)
      : notice.kind === "credited"
        ? said(detail.reason)
        : notice.kind === "order_settled" && Number(detail.credited) > 0
          ? t("notices.said.credited", { amount: unc("credited") })
          : null;
  return (
    <div style={{ maxWidth: 640 }}>
      {sentences[notice.kind]()}
      {more && <span className="reason">{more}</span>}
    </div>
  );
}

/** Where one sees more of it. */
function Further({ notice, onOrder }: { notice: Notice; onOrder: (id: string) => void }) {
  const { t } = useTranslation();
  const { user } = useSession();
  const order = ["order_settled", "credited"].includes(notice.kind)
    ? notice.object_id
    : String(notice.detail.order_id ?? "");
  if (order)
    return (
      <Button size="small" onClick={() => onOrder(order)}>
        {t("charges.order")}
      </Button>
    );
  if (notice.owner === "user" && notice.owner_name !== user.username) return null;
  const wallet = notice.owner === "group" ? `&wallet=${notice.wallet_id}` : "";
  const tab = notice.kind === "recharged" ? `recharges${wallet}` : wallet ? "groups" : "machine-hours";
  return <Link to={`/time-management?tab=${tab}`}>{t(`notices.further.${notice.kind as "recharged"}`)}</Link>;
}

const seen = () => ok(api.POST("/api/v1/notices/seen"));

/** What is sent by mail, where the platform can. */
function Mail() {
  const { t } = useTranslation();
  const act = useAct();
  const { user } = useSession();
  const settings = useNoticeSettings();
  const [open, setOpen] = useState(false);
  if (settings.error && !settings.data) return <ErrorCard error={settings.error} retry={() => settings.refetch()} />;
  if (!settings.data) return <Skeleton active paragraph={{ rows: 2 }} />;
  const change = (body: Schemas["NoticeSettingsUpdate"]) =>
    act(() => ok(api.PATCH("/api/v1/notices/settings", { body })), t("notices.saved"));
  const hint = !settings.data.mail_possible ? t("notices.noMail") : !user.email ? t("notices.noAddress") : undefined;
  return (
    <Card
      size="small"
      title={<h4 className="card-title">{t("notices.mail")}</h4>}
      extra={
        <Button size="small" onClick={() => setOpen(true)}>
          {t("webhooks.deliveries")}
        </Button>
      }
    >
      {hint && <Alert type="info" showIcon title={hint} style={{ marginBottom: 12 }} />}
      <Checkbox.Group<Kind>
        value={settings.data.mail}
        onChange={(mail) => change({ mail })}
        options={KINDS.map((value) => ({ value, label: t(`notices.kinds.${value}`) }))}
      />
      <Flex gap="small" align="center" style={{ marginTop: 12 }} wrap>
        <Typography.Text type="secondary">{t("notices.language")}</Typography.Text>
        <Filter<Language>
          label={t("notices.language")}
          value={settings.data.language}
          onChange={(language) => language && change({ language })}
          options={Object.entries(LANGUAGES).map(([value, label]) => ({ value: value as Language, label }))}
        />
      </Flex>
      <Drawer title={t("notices.mail")} open={open} onClose={() => setOpen(false)} size={880} destroyOnHidden>
        {open && <Deliveries about={user.email || t("notices.noAddress")} of={{ channel: "mail" }} />}
      </Drawer>
    </Card>
  );
}
