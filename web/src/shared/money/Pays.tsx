import { App, Button, Card, Flex, Form, Input, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { Unc } from "../ui/bits";
import { FormDialog } from "../ui/FormDialog";
import { LoadedSelect } from "../ui/LoadedSelect";

type Values = { pool_ids: string[]; max_price: string };

/** In which pools a group's wallet pays, and up to which price in any other. */
export function Pays({ wallet, canChange }: { wallet: Schemas["WalletOut"]; canChange: boolean }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [editing, setEditing] = useState(false);
  return (
    <Card
      size="small"
      title={<h4 className="card-title">{t("wallet.pays")}</h4>}
      extra={
        canChange && (
          <Button
            size="small"
            aria-label={`${t("wallet.change")}: ${t("wallet.pays")}`}
            onClick={() => setEditing(true)}
          >
            {t("wallet.change")}
          </Button>
        )
      }
      style={{ height: "100%" }}
    >
      <Flex vertical gap="small">
        <span className="tags">
          {wallet.pools.map((pool) => (
            <Tag key={pool.id}>
              {pool.name} · {pool.miner_name}
            </Tag>
          ))}
          {wallet.pools.length === 0 && <Typography.Text>{t("wallet.paysNoPool")}</Typography.Text>}
        </span>
        {wallet.max_price ? (
          <span>
            {t("wallet.paysUpTo")} <Unc value={wallet.max_price} perHour strong />
          </span>
        ) : (
          <Typography.Text>{t("wallet.paysNowhereElse")}</Typography.Text>
        )}
        <Typography.Text type="secondary">{t("wallet.paysHint")}</Typography.Text>
      </Flex>
      <FormDialog<Values, unknown>
        title={t("wallet.pays")}
        name="pays"
        open={editing}
        onClose={() => setEditing(false)}
        initialValues={{ pool_ids: wallet.pools.map(({ id }) => id), max_price: wallet.max_price ?? "" }}
        submit={({ pool_ids, max_price }) =>
          ok(
            api.PATCH("/api/v1/wallets/{wallet_id}", {
              params: { path: { wallet_id: wallet.id } },
              body: { pool_ids, max_price: max_price.trim() || null },
            }),
          )
        }
        onDone={() => message.success(t("wallet.changed"))}
        intro={<Typography.Paragraph type="secondary">{t("wallet.paysHint")}</Typography.Paragraph>}
      >
        <Form.Item name="pool_ids" label={t("wallet.paysPools")}>
          <LoadedSelect
            mode="multiple"
            queryKey="pools"
            load={(query) => ok(api.GET("/api/v1/pools", { params: { query } }))}
            option={(pool) => ({ value: pool.id, label: `${pool.name} · ${pool.miner_name}` })}
          />
        </Form.Item>
        <Form.Item
          name="max_price"
          label={t("wallet.paysMaxPrice")}
          extra={t("wallet.paysMaxPriceHint")}
          rules={[{ pattern: /^\d{1,10}(\.\d{1,6})?$/, message: t("common.uncRule") }]}
        >
          <Input inputMode="decimal" suffix="UNC" placeholder={t("wallet.paysNowhereElse")} style={{ maxWidth: 240 }} />
        </Form.Item>
      </FormDialog>
    </Card>
  );
}
