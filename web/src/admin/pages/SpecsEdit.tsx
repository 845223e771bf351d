import { api, ok, type Schemas } from "@shared/api/client";
import { formatUnc } from "@shared/format";
import { Quantities } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { Alert, App, Button, Form, Input } from "antd";
import { useTranslation } from "react-i18next";
import { PriceField } from "./SpecsParts";

type Spec = Schemas["SpecOut"];

interface Values {
  name: string;
  price: string;
  description: string;
  pool_ids: string[];
}

/** Name, price, words and pools; what it holds stays as it was bought. */
export function EditSpec({ spec, onClose }: { spec: Spec; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const pools = spec.pools?.map((pool) => pool.id) ?? [];
  const submit = ({ pool_ids, ...values }: Values) => {
    // Unsaid, each pool goes on offering it for what it does: for notebooks, for training, or for both.
    const moved = pool_ids.length !== pools.length || pool_ids.some((id) => !pools.includes(id));
    const body = moved ? { ...values, pool_ids } : values;
    return ok(api.PATCH("/api/v1/specs/{spec_id}", { params: { path: { spec_id: spec.id } }, body }));
  };
  return (
    <FormDialog<Values, unknown>
      title={t("common.editOf", { name: spec.name })}
      name="edit-spec"
      open
      onClose={onClose}
      initialValues={{ name: spec.name, price: spec.price, description: spec.description, pool_ids: pools }}
      submit={submit}
      onDone={() => message.success(t("specs.changed"))}
      intro={
        <div style={{ marginBottom: 16 }}>
          <Quantities items={spec.items} />
        </div>
      }
    >
      {(form) => (
        <>
          <PriceField
            extra={
              spec.suggested_price && (
                <>
                  {t("specs.suggested", { price: formatUnc(spec.suggested_price) })}{" "}
                  <Button
                    type="link"
                    size="small"
                    style={{ padding: 0 }}
                    onClick={() => form.setFieldValue("price", spec.suggested_price)}
                  >
                    {t("specs.take")}
                  </Button>
                </>
              )
            }
          />
          <Form.Item noStyle dependencies={["price"]}>
            {({ getFieldValue }) =>
              getFieldValue("price") !== spec.price && (
                <Alert type="info" showIcon style={{ marginBottom: 16 }} title={t("specs.priceHint")} />
              )
            }
          </Form.Item>
          <Form.Item label={t("common.name")} name="name" rules={[{ required: true, message: t("common.required") }]}>
            <Input maxLength={64} />
          </Form.Item>
          <Form.Item label={t("specs.pools")} name="pool_ids" extra={t("specs.poolsChangeHint")}>
            <LoadedSelect
              mode="multiple"
              queryKey="pools"
              load={(page) => ok(api.GET("/api/v1/pools", { params: { query: { ...page, role: "miner" } } }))}
              option={(pool) => ({ value: pool.id, label: pool.name })}
            />
          </Form.Item>
          <Form.Item label={t("common.description")} name="description">
            <Input maxLength={2000} />
          </Form.Item>
        </>
      )}
    </FormDialog>
  );
}
