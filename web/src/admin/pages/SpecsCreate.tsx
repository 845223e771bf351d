import { MinusCircleOutlined, PlusOutlined } from "@ant-design/icons";
import { api, ok, type Schemas } from "@shared/api/client";
import { formatUnc, proposeSpecName } from "@shared/format";
import { FormDialog } from "@shared/ui/FormDialog";
import { FormList } from "@shared/ui/FormList";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { Button, Flex, Form, Input } from "antd";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { PriceField, ResourceSelect, SHARED_MEMORY } from "./SpecsParts";
import { Preview, usePreview } from "./SpecsPreview";

type Values = Omit<Schemas["SpecCreate"], "price"> & { price?: string };
const BYTES = ["memory", "disk", SHARED_MEMORY];

/** A new bundle: what it holds, whether it fits, what it may cost. */
export function CreateSpec({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <FormDialog<Values, unknown>
      title={t("specs.create")}
      name="create-spec"
      width={680}
      open
      onClose={onClose}
      initialValues={{
        items: [
          { resource: "cpu", quantity: "0.5" },
          { resource: "memory", quantity: "1GB" },
        ],
        description: "",
      }}
      submit={({ price, ...body }) => ok(api.POST("/api/v1/specs", { body: { ...body, price: price || null } }))}
    >
      <SpecFields />
    </FormDialog>
  );
}

function SpecFields() {
  const { t } = useTranslation();
  const form = Form.useFormInstance<Values>();
  const [named, setNamed] = useState(false);
  const items = Form.useWatch("items", form);
  const preview = usePreview(form, items);
  const proposed = proposeSpecName((items ?? []).filter(Boolean));
  useEffect(() => {
    if (!named) form.setFieldValue("name", proposed);
  }, [form, named, proposed]);
  const suggested = preview?.suggested_price ?? undefined;

  return (
    <>
      <ItemRows resources={(items ?? []).map((item) => item?.resource)} />
      <Preview preview={preview} />
      <Form.Item
        label={t("common.name")}
        name="name"
        extra={t("specs.nameHint")}
        rules={[{ required: true, message: t("common.required") }]}
      >
        <Input maxLength={64} onChange={(event) => setNamed(event.target.value !== "")} />
      </Form.Item>
      <PriceField
        optional={Boolean(suggested)}
        placeholder={suggested}
        extra={suggested && t("specs.priceOptional", { price: formatUnc(suggested) })}
      />
      <Form.Item label={t("specs.pools")} name="pool_ids" extra={t("specs.poolsHint")}>
        <LoadedSelect
          mode="multiple"
          queryKey="pools"
          placeholder={t("specs.defaultPool")}
          load={(page) => ok(api.GET("/api/v1/pools", { params: { query: { ...page, role: "miner" } } }))}
          option={(pool) => ({ value: pool.id, label: pool.name })}
        />
      </Form.Item>
      <Form.Item label={t("common.description")} name="description">
        <Input maxLength={2000} />
      </Form.Item>
    </>
  );
}

/** Any number of rows, each a resource and how much of it, written as a person does. */
function ItemRows({ resources }: { resources: (string | undefined)[] }) {
  const { t } = useTranslation();
  const required = [{ required: true, message: t("common.required") }];
  const hint = (resource?: string) => {
    if (!resource) return undefined;
    if (resource === "cpu") return t("specs.cpuHint");
    if (resource === SHARED_MEMORY) return t("specs.sharedHint");
    return BYTES.includes(resource) ? t("specs.bytesHint") : t("specs.piecesHint");
  };
  return (
    <FormList name="items">
      {(fields, { add, remove }) => (
        <fieldset style={{ border: 0, padding: 0, margin: "0 0 16px", minWidth: 0 }}>
          <legend style={{ marginBottom: 8 }}>{t("specs.contents")}</legend>
          {fields.map((field, index) => (
            <Flex key={field.key} gap="small" align="start">
              <Form.Item
                name={[field.name, "resource"]}
                rules={required}
                style={{ flex: 1, minWidth: 0, marginBottom: 8 }}
              >
                <ResourceSelect aria-label={t("specs.resourceN", { n: index + 1 })} placeholder={t("specs.resource")} />
              </Form.Item>
              <Form.Item
                name={[field.name, "quantity"]}
                rules={required}
                extra={hint(resources[field.name])}
                style={{ flex: 1, minWidth: 0, marginBottom: 8 }}
              >
                <Input
                  aria-label={t("specs.quantityN", { n: index + 1 })}
                  placeholder={t("specs.quantity")}
                  maxLength={32}
                />
              </Form.Item>
              <Button
                type="text"
                aria-label={t("specs.removeN", { n: index + 1 })}
                icon={<MinusCircleOutlined aria-hidden />}
                disabled={fields.length === 1}
                onClick={() => remove(field.name)}
              />
            </Flex>
          ))}
          <Button
            type="dashed"
            block
            icon={<PlusOutlined aria-hidden />}
            disabled={fields.length >= 32}
            onClick={() => add({ quantity: "1" })}
          >
            {t("specs.addResource")}
          </Button>
        </fieldset>
      )}
    </FormList>
  );
}
