import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { Caps } from "@shared/money/Caps";
import { WalletCards } from "@shared/money/WalletCards";
import { Warning } from "@shared/money/Warning";
import { useRole, useSession } from "@shared/session";
import { Moment, Unc, When } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { Filter } from "@shared/ui/Filter";
import { FormDialog } from "@shared/ui/FormDialog";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { useQuery } from "@tanstack/react-query";
import { App, Button, Drawer, Flex, Form, Input, Segmented, Skeleton, Tag, Tooltip, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type Wallet = Schemas["WalletOut"];

/** The machine hours of users and groups: recharge, deduct, cap. */
export function Wallets() {
  const { t } = useTranslation();
  const { recharges, user } = useSession();
  const operator = useRole();
  const [dialog, setDialog] = useState<{ wallet: Wallet; kind: "recharge" | "deduct" }>();
  const [owner, setOwner] = useAddress<Wallet["owner"]>("owner");
  const [shown, setShown] = useAddress("wallet");
  const money = (title: string, key: "balance" | "accrued" | "held", hint: string): Column<Wallet> => ({
    title: key === "balance" ? title : <Tooltip title={hint}>{title}</Tooltip>,
    dataIndex: key,
    align: "right",
    ...(key === "balance" && { sort: "balance" }),
    render: (value) => <Unc value={value} />,
  });
  const columns: Column<Wallet>[] = [
    {
      title: t("wallet.owner"),
      dataIndex: "owner_name",
      render: (name, wallet) => (
        <span className="tags">
          <Button type="link" style={{ padding: 0 }} onClick={() => setShown(wallet.id)}>
            {name}
          </Button>
          {wallet.owner === "group" && <Tag color="geekblue">{t("wallet.owners.group")}</Tag>}
          {wallet.low && <Tag color="red">{t("wallet.low")}</Tag>}
        </span>
      ),
    },
    {
      title: <Tooltip title={t("time.availableHint")}>{t("time.available")}</Tooltip>,
      dataIndex: "available",
      align: "right",
      render: (value) => <Unc value={value} strong />,
    },
    money(t("time.balance"), "balance", t("time.balanceHint")),
    money(t("time.accrued"), "accrued", t("time.accruedHint")),
    money(t("time.held"), "held", t("time.heldHint")),
    {
      title: t("time.burn"),
      dataIndex: "burn_per_hour",
      align: "right",
      render: (value) => <Unc value={value} perHour />,
    },
    { title: t("time.runsOut"), key: "runs_out", render: (_, wallet) => <RunsOut wallet={wallet} /> },
  ];
  if (recharges)
    columns.push({
      key: "actions",
      render: (_, wallet) =>
        (operator || wallet.owner_id !== user.id) && (
          <span className="tags">
            <Button size="small" type="primary" onClick={() => setDialog({ wallet, kind: "recharge" })}>
              {t("recharges.recharge")}
            </Button>
            {operator && (
              <Button size="small" onClick={() => setDialog({ wallet, kind: "deduct" })}>
                {t("recharges.deduct")}
              </Button>
            )}
          </span>
        ),
    });
  return (
    <>
      <ListPage
        about={t("time.about")}
        queryKey={["wallets", { owner }]}
        load={(query) => ok(api.GET("/api/v1/wallets", { params: { query: { ...query, owner } } }))}
        columns={columns}
        rowKey={(wallet) => wallet.id}
        file={{ path: "/api/v1/wallets", query: { owner } }}
        filtered={Boolean(owner)}
        filters={
          <Filter
            label={t("wallet.owner")}
            value={owner}
            onChange={setOwner}
            options={(["user", "group"] as const).map((value) => ({ value, label: t(`wallet.owners.${value}`) }))}
          />
        }
        empty={t("time.empty")}
      />
      <WalletDrawer id={shown} onClose={() => setShown(undefined)} />
      {dialog && <RechargeDialog {...dialog} onClose={() => setDialog(undefined)} />}
    </>
  );
}

function RunsOut({ wallet }: { wallet: Wallet }) {
  const end = wallet.runs_out_at;
  if (!end) return "–";
  return (
    <>
      <Moment at={end} />
      <Typography.Text type="secondary" className="reason">
        <When at={end} />
      </Typography.Text>
    </>
  );
}

interface RechargeValues {
  kind: "recharge" | "deduct";
  amount: string;
  note: string;
}

function RechargeDialog({
  wallet,
  kind,
  onClose,
}: {
  wallet: Wallet;
  kind: "recharge" | "deduct";
  onClose: () => void;
}) {
  const { t } = useTranslation();
  const operator = useRole();
  const { message } = App.useApp();
  return (
    <FormDialog<RechargeValues, unknown>
      title={t("recharges.title", { owner: wallet.owner_name })}
      name="recharge"
      open
      onClose={onClose}
      initialValues={{ kind, note: "" }}
      submit={(values) => ok(api.POST("/api/v1/recharges", { body: { ...values, wallet_id: wallet.id } }))}
      onDone={() => message.success(t("recharges.done"))}
      intro={
        <Typography.Paragraph type="secondary">
          {t("time.available")}: <Unc value={wallet.available} />
        </Typography.Paragraph>
      }
    >
      <Form.Item name="kind" label={t("recharges.kind")}>
        <Segmented
          options={[
            { value: "recharge", label: t("recharges.recharge") },
            ...(operator ? [{ value: "deduct", label: t("recharges.deduct") }] : []),
          ]}
        />
      </Form.Item>
      <Form.Item
        name="amount"
        label={t("recharges.amount")}
        rules={[
          { required: true, message: t("common.required") },
          { pattern: /^\d{1,10}(\.\d{1,6})?$/, message: t("common.uncRule") },
        ]}
      >
        <Input inputMode="decimal" suffix="UNC" placeholder="10" autoFocus style={{ maxWidth: 240 }} />
      </Form.Item>
      <Form.Item name="note" label={t("recharges.note")} extra={t("recharges.noteHint")}>
        <Input.TextArea rows={2} maxLength={2000} />
      </Form.Item>
    </FormDialog>
  );
}

/** One wallet: figures, caps, warning. */
function WalletDrawer({ id, onClose }: { id: string | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  const operator = useRole();
  const { data, error, refetch } = useQuery({
    queryKey: ["wallets", "one", id],
    queryFn: () => ok(api.GET("/api/v1/wallets/{wallet_id}", { params: { path: { wallet_id: id ?? "" } } })),
    enabled: Boolean(id),
  });
  return (
    <Drawer
      title={data ? t("wallet.details", { owner: data.owner_name }) : t("time.machineHours")}
      open={Boolean(id)}
      onClose={onClose}
      size={760}
      destroyOnHidden
    >
      {error && !data ? (
        <ErrorCard error={error} retry={refetch} />
      ) : data ? (
        <Flex vertical gap="middle">
          <WalletCards wallet={data} />
          <Caps wallet={data} canChange={operator} />
          <Warning wallet={data} canChange={operator} />
        </Flex>
      ) : (
        <Skeleton active />
      )}
    </Drawer>
  );
}
