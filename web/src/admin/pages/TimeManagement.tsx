import { api, ok, type Schemas } from "@shared/api/client";
import { formatDuration, secondsLeft } from "@shared/format";
import { useRole } from "@shared/session";
import { Notices } from "@shared/money/Notices";
import { Statements } from "@shared/money/Statements";
import { Sums } from "@shared/money/Sums";
import { Webhooks } from "@shared/money/Webhooks";
import { Unc, When } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { FormDialog } from "@shared/ui/FormDialog";
import { by, type Column, ListPage } from "@shared/ui/ListPage";
import { Charges, Recharges } from "@shared/ui/Records";
import { TabsPage } from "@shared/ui/TabsPage";
import { useQuery } from "@tanstack/react-query";
import {
  App,
  Button,
  Card,
  Col,
  Flex,
  Form,
  Input,
  Row,
  Segmented,
  Skeleton,
  Statistic,
  Tooltip,
  Typography,
} from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type Wallet = Schemas["WalletOut"];

/** Everybody's machine hours, what went in, what went out, what was earned. */
export function TimeManagement() {
  const { t } = useTranslation();
  return (
    <TabsPage
      title={t("menu.time")}
      tabs={[
        { key: "machine-hours", label: t("time.machineHours"), children: <Wallets /> },
        { key: "recharges", label: t("time.recharges"), children: <Recharges everyone /> },
        { key: "charges", label: t("time.charges"), children: <Charges side="payee" /> },
        { key: "earnings", label: t("time.earnings"), children: <Earnings /> },
        { key: "statements", label: t("statements.tab"), children: <Statements side="payee" /> },
        { key: "notices", label: t("notices.tab"), children: <Notices /> },
        { key: "webhooks", label: t("webhooks.tab"), children: <Webhooks /> },
      ]}
    />
  );
}

function Wallets() {
  const { t } = useTranslation();
  const [dialog, setDialog] = useState<{ wallet: Wallet; kind: "recharge" | "deduct" }>();
  const money = (title: string, key: "balance" | "accrued" | "held", hint: string): Column<Wallet> => ({
    title: <Tooltip title={hint}>{title}</Tooltip>,
    dataIndex: key,
    align: "right",
    sorter: by((row) => Number(row[key])),
    render: (value) => <Unc value={value} />,
  });
  const columns: Column<Wallet>[] = [
    {
      title: t("common.user"),
      dataIndex: "owner_name",
      sorter: by((row) => row.owner_name),
      render: (name) => <Typography.Text strong>{name}</Typography.Text>,
    },
    {
      title: <Tooltip title={t("time.availableHint")}>{t("time.available")}</Tooltip>,
      dataIndex: "available",
      align: "right",
      sorter: by((row) => Number(row.available)),
      render: (value) => <Unc value={value} strong />,
    },
    money(t("time.balance"), "balance", t("time.balanceHint")),
    money(t("time.accrued"), "accrued", t("time.accruedHint")),
    money(t("time.held"), "held", t("time.heldHint")),
    {
      title: t("time.burn"),
      dataIndex: "burn_per_hour",
      align: "right",
      sorter: by((row) => Number(row.burn_per_hour)),
      render: (value) => <Unc value={value} perHour />,
    },
    { title: t("time.runsOut"), key: "runs_out", render: (_, wallet) => <RunsOut wallet={wallet} /> },
    {
      key: "actions",
      render: (_, wallet) => (
        <span className="tags">
          <Button size="small" type="primary" onClick={() => setDialog({ wallet, kind: "recharge" })}>
            {t("recharges.recharge")}
          </Button>
          <Button size="small" onClick={() => setDialog({ wallet, kind: "deduct" })}>
            {t("recharges.deduct")}
          </Button>
        </span>
      ),
    },
  ];
  return (
    <>
      <ListPage
        about={t("time.about")}
        queryKey={["wallets"]}
        load={(query) => ok(api.GET("/api/v1/wallets", { params: { query } }))}
        columns={columns}
        rowKey={(wallet) => wallet.id}
        empty={t("time.empty")}
      />
      {dialog && <RechargeDialog {...dialog} onClose={() => setDialog(undefined)} />}
    </>
  );
}

function RunsOut({ wallet }: { wallet: Wallet }) {
  const seconds = secondsLeft(wallet.available, wallet.burn_per_hour);
  if (seconds === null) return "–";
  return (
    <>
      <When at={wallet.runs_out_at} /> <Typography.Text type="secondary">({formatDuration(seconds)})</Typography.Text>
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
            { value: "deduct", label: t("recharges.deduct") },
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

function Earnings() {
  const { t } = useTranslation();
  const operator = useRole();
  const earnings = useQuery({ queryKey: ["earnings"], queryFn: () => ok(api.GET("/api/v1/earnings")) });
  const platform = useQuery({
    queryKey: ["earnings", "platform"],
    queryFn: () => ok(api.GET("/api/v1/earnings/platform")),
    enabled: operator,
  });
  if (earnings.isError && !earnings.data) return <ErrorCard error={earnings.error} retry={() => earnings.refetch()} />;
  if (!earnings.data) return <Skeleton active />;
  const mine: [string, string][] = [
    [t("earnings.today"), earnings.data.today],
    [t("earnings.month"), earnings.data.this_month],
    [t("earnings.balance"), earnings.data.balance],
    [t("earnings.accrued"), earnings.data.accrued],
  ];
  const all: [string, string][] = platform.data
    ? [
        [t("earnings.fees"), platform.data.fees],
        [t("earnings.issued"), platform.data.issued],
        [t("earnings.sum"), platform.data.journal_sum],
      ]
    : [];
  const cards = (rows: [string, string][]) => (
    <Row gutter={[16, 16]}>
      {rows.map(([title, value]) => (
        <Col key={title} xs={24} sm={12} xl={6}>
          <Card size="small">
            <Statistic title={title} valueRender={() => <Unc value={value} />} />
          </Card>
        </Col>
      ))}
    </Row>
  );
  return (
    <Flex vertical gap="middle">
      <Typography.Text type="secondary">{t("earnings.about", { miner: earnings.data.miner_name })}</Typography.Text>
      {cards(mine)}
      <Sums side="payee" />
      {all.length > 0 && (
        <>
          <Typography.Title level={5} style={{ marginBottom: 0 }}>
            {t("earnings.platform")}
          </Typography.Title>
          <Typography.Text type="secondary">{t("earnings.sumHint")}</Typography.Text>
          {cards(all)}
        </>
      )}
    </Flex>
  );
}
