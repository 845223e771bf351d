import { App, Button, Card, Flex, Form, Input, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { Unc } from "../ui/bits";
import { FormDialog } from "../ui/FormDialog";

/** Below what a wallet's owner is warned. */
export function Warning({ wallet, canChange }: { wallet: Schemas["WalletOut"]; canChange: boolean }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [editing, setEditing] = useState(false);
  return (
    <Card
      size="small"
      title={<h4 className="card-title">{t("wallet.warn")}</h4>}
      extra={
        canChange && (
          <Button size="small" onClick={() => setEditing(true)}>
            {t("wallet.change")}
          </Button>
        )
      }
      style={{ height: "100%" }}
    >
      <Flex vertical gap="small">
        <Unc value={wallet.low_balance} strong />
        <Typography.Text type="secondary">{t("wallet.warnHint")}</Typography.Text>
      </Flex>
      <FormDialog<{ low_balance: string }, unknown>
        title={t("wallet.warn")}
        name="low-balance"
        open={editing}
        onClose={() => setEditing(false)}
        initialValues={{ low_balance: wallet.low_balance }}
        submit={(body) =>
          ok(api.PATCH("/api/v1/wallets/{wallet_id}", { params: { path: { wallet_id: wallet.id } }, body }))
        }
        onDone={() => message.success(t("wallet.changed"))}
      >
        <Form.Item
          name="low_balance"
          label={t("recharges.amount")}
          extra={t("wallet.warnHint")}
          rules={[
            { required: true, message: t("common.required") },
            { pattern: /^\d{1,10}(\.\d{1,6})?$/, message: t("common.uncRule") },
          ]}
        >
          <Input inputMode="decimal" suffix="UNC" autoFocus style={{ maxWidth: 240 }} />
        </Form.Item>
      </FormDialog>
    </Card>
  );
}
