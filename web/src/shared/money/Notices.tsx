import { useQuery } from "@tanstack/react-query";
import { Alert, Card, Checkbox, Flex, Skeleton, Tag, Typography } from "antd";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useAddress } from "../address";
import { api, ok, type Schemas } from "../api/client";
import { formatUnc } from "../format";
import { LANGUAGES, type Language } from "../i18n";
import { said } from "../i18n/said";
import { queryClient } from "../query";
import { When } from "../ui/bits";
import { Filter } from "../ui/Filter";
import { useAct } from "../ui/feedback";
import { type Column, ListPage } from "../ui/ListPage";

type Notice = Schemas["NoticeOut"];
type Kind = Schemas["NoticeKind"];
const COLOURS: Record<Kind, string> = {
  low_balance: "red",
  stop_announced: "orange",
  workload_stopped: "volcano",
  order_settled: "blue",
  recharged: "green",
};
export const KINDS = Object.keys(COLOURS) as Kind[];
const AMOUNTS = ["available", "burn_per_hour", "cost", "amount", "balance", "credited"];
const SAYINGS = ["reason", "note"];
const KINDS_OF = ["change", "workload_kind"];

/** What happened to one's money; looking at it marks it as seen. */
export function Notices() {
  const { t } = useTranslation();
  const [kind, setKind] = useAddress<Kind>("kind");
  useEffect(() => {
    // Marked when one leaves, so that what is new stays marked while one reads.
    return () =>
      void api.POST("/api/v1/notices/seen").then(() => queryClient.invalidateQueries({ queryKey: ["notices"] }));
  }, []);
  const columns: Column<Notice>[] = [
    { title: t("notices.at"), dataIndex: "at", render: (at) => <When at={at} /> },
    {
      title: t("notices.kind"),
      dataIndex: "kind",
      render: (value: Kind, notice) => (
        <span className="tags">
          <Tag color={COLOURS[value]}>{t(`notices.kinds.${value}`)}</Tag>
          {!notice.seen && <Tag>{t("notices.new")}</Tag>}
        </span>
      ),
    },
    { title: t("notices.what"), key: "what", render: (_, notice) => <Detail notice={notice} /> },
  ];
  return (
    <Flex vertical gap="large">
      <Mail />
      <ListPage
        about={t("notices.about")}
        queryKey={["notices", { kind }]}
        load={({ limit, cursor }) => ok(api.GET("/api/v1/notices", { params: { query: { limit, cursor, kind } } }))}
        columns={columns}
        rowKey={(notice) => notice.id}
        searchable={false}
        filtered={Boolean(kind)}
        filters={
          <Filter
            label={t("notices.kind")}
            value={kind}
            onChange={setKind}
            options={KINDS.map((value) => ({ value, label: t(`notices.kinds.${value}`) }))}
          />
        }
        empty={t("notices.empty")}
      />
    </Flex>
  );
}

function Detail({ notice }: { notice: Notice }) {
  const { t, i18n } = useTranslation();
  const parts = Object.entries(notice.detail).flatMap(([key, value]) => {
    const name = `notices.detail.${key}`;
    if (value === null || value === "" || !i18n.exists(name)) return []; // what only a webhook's program needs
    const label = t(name as never);
    if (key.endsWith("_at"))
      return [
        <span key={key}>
          {label} <When at={String(value)} />
        </span>,
      ];
    const text = AMOUNTS.includes(key)
      ? formatUnc(String(value))
      : SAYINGS.includes(key)
        ? said(String(value))
        : KINDS_OF.includes(key)
          ? t([`recharges.${value}`, `work.${value}`] as never, { defaultValue: String(value) })
          : String(value);
    return [
      <span key={key}>
        {label} <strong>{text}</strong>
      </span>,
    ];
  });
  return <span className="tags">{parts}</span>;
}

/** What is sent by mail, where the platform can. */
function Mail() {
  const { t } = useTranslation();
  const act = useAct();
  const settings = useQuery({
    queryKey: ["notices", "settings"],
    queryFn: () => ok(api.GET("/api/v1/notices/settings")),
  });
  if (!settings.data) return <Skeleton active paragraph={{ rows: 2 }} />;
  const change = (body: Schemas["NoticeSettingsUpdate"]) =>
    act(() => ok(api.PATCH("/api/v1/notices/settings", { body })), t("notices.saved"));
  return (
    <Card size="small" title={t("notices.mail")}>
      {!settings.data.mail_possible && (
        <Alert type="info" showIcon title={t("notices.noMail")} style={{ marginBottom: 12 }} />
      )}
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
    </Card>
  );
}
