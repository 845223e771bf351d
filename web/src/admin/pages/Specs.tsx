import { MinusCircleOutlined, PlusOutlined } from "@ant-design/icons";
import { api, ok, type Schemas } from "@shared/api/client";
import { proposeSpecName } from "@shared/format";
import { Quantities, Simulated, Unc, useResourceName, When } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { useConfirm } from "@shared/ui/feedback";
import { by, type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { useQuery } from "@tanstack/react-query";
import { Button, Flex, Form, type FormInstance, Input, Select, Tag, Tooltip, Typography } from "antd";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

type Spec = Schemas["SpecOut"];
type Values = Omit<Schemas["SpecCreate"], "price"> & { price: string };

/** Specifications: named bundles of resources with a price. */
export function Specs() {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const [creating, setCreating] = useState(false);
  const [editing, setEditing] = useState<Spec>();
  const path = (spec: Spec) => ({ params: { path: { spec_id: spec.id } } });

  const columns: Column<Spec>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sorter: by((row) => row.name),
      render: (name, spec) => (
        <span className="tags">
          <Typography.Text strong>{name}</Typography.Text>
          <Simulated when={spec.simulated} />
          {spec.description && (
            <Typography.Text type="secondary" className="reason">
              {spec.description}
            </Typography.Text>
          )}
        </span>
      ),
    },
    { title: t("specs.contents"), dataIndex: "items", render: (items) => <Quantities items={items} /> },
    {
      title: t("common.price"),
      dataIndex: "price",
      align: "right",
      sorter: by((row) => Number(row.price)),
      render: (value) => <Unc value={value} perHour strong />,
    },
    { title: t("specs.fit"), key: "fit", render: (_, spec) => (spec.fit ? <Fit fit={spec.fit} /> : "–") },
    {
      title: t("specs.pools"),
      dataIndex: "pools",
      render: (pools: Spec["pools"]) => pools?.map((pool) => <Tag key={pool.id}>{pool.name}</Tag>),
    },
    {
      title: t("common.created"),
      dataIndex: "created_at",
      sorter: by((row) => row.created_at),
      render: (at) => <When at={at} />,
    },
    {
      key: "actions",
      render: (_, spec) => (
        <span className="tags">
          <Button size="small" onClick={() => setEditing(spec)}>
            {t("specs.changePrice")}
          </Button>
          <Button
            size="small"
            danger
            onClick={() =>
              confirm({
                title: t("common.deleteAsk", { name: spec.name }),
                content: t("specs.deleteHint"),
                okText: t("common.delete"),
                action: () => ok(api.DELETE("/api/v1/specs/{spec_id}", path(spec))),
              })
            }
          >
            {t("common.delete")}
          </Button>
        </span>
      ),
    },
  ];
  const create = (
    <Button type="primary" onClick={() => setCreating(true)}>
      {t("specs.create")}
    </Button>
  );
  return (
    <>
      <ListPage
        title={t("menu.specs")}
        about={t("specs.about")}
        queryKey={["specs"]}
        load={(query) => ok(api.GET("/api/v1/specs", { params: { query } }))}
        columns={columns}
        rowKey={(spec) => spec.id}
        extra={create}
        empty={t("specs.empty")}
      />
      <FormDialog<Values, unknown>
        title={t("specs.create")}
        name="create-spec"
        width={640}
        open={creating}
        onClose={() => setCreating(false)}
        initialValues={{
          items: [
            { resource: "cpu", quantity: "0.5" },
            { resource: "memory", quantity: "1GB" },
          ],
          description: "",
        }}
        submit={(body) => ok(api.POST("/api/v1/specs", { body }))}
      >
        {(form) => <SpecFields form={form} />}
      </FormDialog>
      <FormDialog<Schemas["SpecUpdate"], unknown>
        title={t("specs.changeOf", { name: editing?.name })}
        name="change-spec"
        open={Boolean(editing)}
        onClose={() => setEditing(undefined)}
        initialValues={{ price: editing?.price, description: editing?.description }}
        submit={(body) => ok(api.PATCH("/api/v1/specs/{spec_id}", { ...path(editing as Spec), body }))}
      >
        <PriceField extra={t("specs.priceHint")} />
        <Form.Item label={t("common.description")} name="description">
          <Input />
        </Form.Item>
      </FormDialog>
    </>
  );
}

function Fit({ fit }: { fit: Schemas["SpecFit"] }) {
  const { t } = useTranslation();
  return (
    <Tooltip title={t("specs.fitHint")}>
      <span className="tags">
        <Tag color={fit.now ? "green" : "default"}>{t("specs.fitNow", { count: fit.now })}</Tag>
        <Tag color={fit.at_best ? "blue" : "red"}>{t("specs.fitBest", { count: fit.at_best })}</Tag>
        {fit.never > 0 && <Tag>{t("specs.fitNever", { count: fit.never })}</Tag>}
      </span>
    </Tooltip>
  );
}

function PriceField({ extra }: { extra?: string }) {
  const { t } = useTranslation();
  return (
    <Form.Item
      label={t("specs.price")}
      name="price"
      extra={extra}
      rules={[
        { required: true, message: t("common.required") },
        { pattern: /^\d{1,10}(\.\d{1,6})?$/, message: t("common.uncRule") },
      ]}
    >
      <Input inputMode="decimal" placeholder="1.5" suffix="UNC" style={{ maxWidth: 220 }} />
    </Form.Item>
  );
}

function SpecFields({ form }: { form: FormInstance<Values> }) {
  const { t } = useTranslation();
  const name = useResourceName();
  const [named, setNamed] = useState(false);
  const items = Form.useWatch("items", form);
  const proposed = proposeSpecName((items ?? []).filter(Boolean));
  useEffect(() => {
    if (!named) form.setFieldValue("name", proposed);
  }, [form, named, proposed]);

  const query = { limit: 500 };
  const system = useQuery({
    queryKey: ["system-resources", "all"],
    queryFn: () => ok(api.GET("/api/v1/system-resources", { params: { query } })),
  });
  const custom = useQuery({
    queryKey: ["custom-resources", "all"],
    queryFn: () => ok(api.GET("/api/v1/custom-resources", { params: { query } })),
  });
  const basic = ["cpu", "memory", "disk"];
  const options = [
    {
      label: t("resources.system"),
      options: (system.data?.items ?? []).map((row) => ({ value: row.name, label: name(row.name) })),
    },
    {
      label: t("resources.custom"),
      options: (custom.data?.items ?? []).map((row) => ({ value: row.name, label: row.name })),
    },
  ];
  const unit = (resource?: string) =>
    resource === "cpu"
      ? t("specs.cpuHint")
      : basic.includes(resource ?? "")
        ? t("specs.bytesHint")
        : t("specs.piecesHint");

  return (
    <>
      <Form.List name="items">
        {(fields, { add, remove }) => (
          <fieldset style={{ border: 0, padding: 0, margin: "0 0 16px" }}>
            <legend style={{ marginBottom: 8 }}>{t("specs.contents")}</legend>
            {fields.map((field) => (
              <Flex key={field.key} gap="small" align="start">
                <Form.Item
                  name={[field.name, "resource"]}
                  rules={[{ required: true, message: t("common.required") }]}
                  style={{ flex: 1, minWidth: 0, marginBottom: 8 }}
                >
                  <Select
                    aria-label={t("specs.resourceN", { n: field.name + 1 })}
                    placeholder={t("specs.resource")}
                    options={options}
                    showSearch={{ optionFilterProp: "label" }}
                  />
                </Form.Item>
                <Form.Item
                  name={[field.name, "quantity"]}
                  rules={[{ required: true, message: t("common.required") }]}
                  extra={unit(items?.[field.name]?.resource)}
                  style={{ flex: 1, minWidth: 0, marginBottom: 8 }}
                >
                  <Input aria-label={t("specs.quantityN", { n: field.name + 1 })} placeholder={t("specs.quantity")} />
                </Form.Item>
                <Button
                  type="text"
                  aria-label={t("specs.removeN", { n: field.name + 1 })}
                  icon={<MinusCircleOutlined aria-hidden />}
                  disabled={fields.length === 1}
                  onClick={() => remove(field.name)}
                />
              </Flex>
            ))}
            <Button type="dashed" block icon={<PlusOutlined aria-hidden />} onClick={() => add({ quantity: "1" })}>
              {t("specs.addResource")}
            </Button>
          </fieldset>
        )}
      </Form.List>
      <Form.Item
        label={t("common.name")}
        name="name"
        extra={t("specs.nameHint")}
        rules={[{ required: true, message: t("common.required") }]}
      >
        <Input onChange={(event) => setNamed(event.target.value !== "")} />
      </Form.Item>
      <PriceField />
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
        <Input />
      </Form.Item>
    </>
  );
}
