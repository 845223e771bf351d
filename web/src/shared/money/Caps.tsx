import { useQuery } from "@tanstack/react-query";
import { App, Button, Card, Flex, Form, Input, Progress, Segmented, Select, Skeleton, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { formatUnc } from "../format";
import { useRole, useSession } from "../session";
import { When } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";
import { FormDialog } from "../ui/FormDialog";

type Wallet = Schemas["WalletOut"];
type Cap = Schemas["CapOut"];
type Period = "daily" | "monthly" | "total";
const PERIODS: Period[] = ["daily", "monthly", "total"];
/** Stands for all together where a member can be chosen. */
const ALL = "all";
/** Stands for each member who has no caps of their own. */
const EACH = "*";

const keyOf = (wallet: Wallet) => ["wallets", wallet.id, "caps"];
const load = (wallet: Wallet) =>
  ok(api.GET("/api/v1/wallets/{wallet_id}/caps", { params: { path: { wallet_id: wallet.id } } }));

/** The most that may be spent from a wallet, and how much of it is. */
export function Caps({ wallet, canChange }: { wallet: Wallet; canChange: boolean }) {
  const { t } = useTranslation();
  const [editing, setEditing] = useState(false);
  const { data, error, refetch } = useQuery({ queryKey: keyOf(wallet), queryFn: () => load(wallet) });
  return (
    <Card
      size="small"
      title={<h4 className="card-title">{t("caps.title")}</h4>}
      extra={
        canChange && (
          <Button size="small" disabled={!data} onClick={() => setEditing(true)}>
            {t("caps.edit")}
          </Button>
        )
      }
      style={{ height: "100%" }}
    >
      {error && !data ? (
        <ErrorCard error={error} retry={refetch} />
      ) : !data ? (
        <Skeleton active title={false} paragraph={{ rows: 2 }} />
      ) : (
        <Flex vertical gap="small">
          {data.items.length === 0 && <Typography.Text>{t("caps.none")}</Typography.Text>}
          {data.items.map((cap) => (
            <CapBars key={`${cap.user_id} ${cap.set_by}`} cap={cap} named={wallet.owner === "group"} />
          ))}
          <Typography.Text type="secondary">
            {data.items.length > 0 && t("caps.about")} {!canChange && t("caps.noPermission")}
          </Typography.Text>
        </Flex>
      )}
      {data && <CapDialog wallet={wallet} caps={data.items} open={editing} onClose={() => setEditing(false)} />}
    </Card>
  );
}

function CapBars({ cap, named }: { cap: Cap; named: boolean }) {
  const { t } = useTranslation();
  return (
    <>
      <span className="tags">
        {named && (
          <Typography.Text strong>
            {cap.user_id === EACH ? t("caps.each") : cap.user_name || t("caps.all")}
          </Typography.Text>
        )}
        {cap.set_by === "operator" && <Tag>{t("caps.byOperator")}</Tag>}
      </span>
      {PERIODS.map((period) => {
        const one = cap[period];
        if (!one) return null;
        const limit = Number(one.limit);
        const percent = limit > 0 ? Math.min(100, (Number(one.spent) / limit) * 100) : 100;
        const reached = Number(one.left) <= 0;
        const words = t("caps.used", { spent: formatUnc(one.spent), limit: formatUnc(one.limit) });
        return (
          <div key={period}>
            <Flex justify="space-between" gap="small" wrap>
              <span>{t(`caps.${period}`)}</span>
              <span className="number">{words}</span>
            </Flex>
            <Progress
              percent={percent}
              size="small"
              showInfo={false}
              status={reached ? "exception" : "normal"}
              aria-label={`${t(`caps.${period}`)}: ${words}`}
            />
            <Typography.Text type={reached ? "danger" : "secondary"}>
              {reached ? t("caps.reached") : t("caps.left", { left: formatUnc(one.left) })}
              {one.renews_at && (
                <>
                  {" "}
                  · {t("caps.renews")} <When at={one.renews_at} />
                </>
              )}
            </Typography.Text>
          </div>
        );
      })}
    </>
  );
}

type Level = Cap["set_by"];

interface Values {
  who: string;
  level: Level;
  daily?: string;
  monthly?: string;
  total?: string;
}

function CapDialog(props: { wallet: Wallet; caps: Cap[]; open: boolean; onClose: () => void }) {
  const { wallet, caps, open, onClose } = props;
  const { t } = useTranslation();
  const { message } = App.useApp();
  const group = wallet.owner === "group";
  const operator = useRole();
  const { user } = useSession();
  const both = operator && wallet.owner_id !== user.id;
  const own: Level = both ? "operator" : "keeper";
  const limits = (who: string, level: Level) => {
    const cap = caps.find(({ user_id, set_by }) => (user_id ?? ALL) === who && set_by === level);
    return Object.fromEntries(PERIODS.map((period) => [period, cap?.[period]?.limit ?? ""])) as Omit<
      Values,
      "who" | "level"
    >;
  };
  const submit = ({ who, level, ...values }: Values) =>
    ok(
      api.PUT("/api/v1/wallets/{wallet_id}/caps", {
        params: { path: { wallet_id: wallet.id } },
        body: {
          user_id: who === ALL ? null : who,
          set_by: level,
          ...Object.fromEntries(PERIODS.map((period) => [period, values[period]?.trim() || null])),
        },
      }),
    );
  return (
    <FormDialog<Values, unknown>
      title={t("caps.dialog", { owner: wallet.owner_name })}
      name="caps"
      open={open}
      onClose={onClose}
      initialValues={{ who: ALL, level: own, ...limits(ALL, own) }}
      rename={{ user_id: "who", set_by: "level" }}
      submit={submit}
      onDone={() => message.success(t("wallet.changed"))}
      intro={<Typography.Paragraph type="secondary">{t("caps.about")}</Typography.Paragraph>}
    >
      {(form) => (
        <>
          <Form.Item name="who" label={t("caps.who")} hidden={!group}>
            <MemberChoice
              group={group && open ? wallet.owner_id : undefined}
              onPick={(who) => form.setFieldsValue(limits(who, form.getFieldValue("level") as Level))}
            />
          </Form.Item>
          <Form.Item name="level" label={t("caps.level")} extra={t("caps.levelHint")} hidden={!both}>
            <Segmented<Level>
              options={[
                { value: "operator", label: t("caps.levels.operator") },
                { value: "keeper", label: t("caps.levels.keeper") },
              ]}
              onChange={(level) => form.setFieldsValue(limits(form.getFieldValue("who") as string, level))}
            />
          </Form.Item>
          {PERIODS.map((period) => (
            <Form.Item
              key={period}
              name={period}
              label={t(`caps.${period}`)}
              rules={[{ pattern: /^\d{1,10}(\.\d{1,6})?$/, message: t("common.uncRule") }]}
            >
              <Input inputMode="decimal" suffix="UNC" placeholder={t("estimate.optional")} style={{ maxWidth: 240 }} />
            </Form.Item>
          ))}
          <Typography.Paragraph type="secondary">{t("caps.empty")}</Typography.Paragraph>
        </>
      )}
    </FormDialog>
  );
}

/** All together, or one member of the group. */
function MemberChoice(props: {
  id?: string;
  group: string | undefined;
  value?: string;
  onChange?: (who: string) => void;
  onPick: (who: string) => void;
}) {
  const { id, group, value, onChange, onPick } = props;
  const { t } = useTranslation();
  const { data } = useQuery({
    queryKey: ["groups", "one", group],
    queryFn: () => ok(api.GET("/api/v1/groups/{group_id}", { params: { path: { group_id: group ?? "" } } })),
    enabled: Boolean(group),
  });
  const members = data?.members.map(({ user }) => ({ value: user.id, label: user.username })) ?? [];
  return (
    <Select
      id={id}
      showSearch={{ optionFilterProp: "label" }}
      value={value}
      options={[{ value: ALL, label: t("caps.all") }, { value: EACH, label: t("caps.each") }, ...members]}
      onChange={(who) => {
        onChange?.(who);
        onPick(who);
      }}
    />
  );
}
