import { useQuery } from "@tanstack/react-query";
import { Col, Form, Input, InputNumber, Radio, Row, Select } from "antd";
import { useTranslation } from "react-i18next";
import { api, MAX_ROWS, ok, type Schemas } from "../api/client";

type Group = Schemas["GroupOut"];

export function useMyGroups(): Group[] {
  const { data } = useQuery({
    queryKey: ["groups", "mine"],
    queryFn: () => ok(api.GET("/api/v1/groups", { params: { query: { mine: true, limit: MAX_ROWS } } })),
  });
  return data?.items ?? [];
}

/** Whose machine hours pay for a start, and the most that it may take. Who is in no group is not asked. */
export function PayerFields({ groups }: { groups: Group[] }) {
  const { t } = useTranslation();
  const form = Form.useFormInstance();
  const payer = Form.useWatch("payer", form);
  return (
    <>
      <Form.Item name="payer" label={t("estimate.payer")} hidden={groups.length === 0}>
        <Radio.Group
          options={[
            { value: "user", label: t("estimate.user") },
            { value: "group", label: t("estimate.group") },
          ]}
        />
      </Form.Item>
      {groups.length > 0 && (payer === "group" || groups.length > 1) && (
        <Form.Item
          name="group_id"
          label={t("estimate.inName")}
          extra={payer === "group" ? undefined : t("estimate.inNameHint")}
          rules={[{ required: payer === "group", message: t("common.required") }]}
        >
          <Select
            allowClear
            showSearch={{ optionFilterProp: "label" }}
            options={groups.map(({ id, name }) => ({ value: id, label: name }))}
          />
        </Form.Item>
      )}
      <Row gutter={16}>
        <Col xs={24} sm={12}>
          <Form.Item
            name="max_cost"
            label={t("estimate.maxCost")}
            extra={t("estimate.maxCostHint")}
            rules={[{ pattern: /^\d{1,10}(\.\d{1,6})?$/, message: t("common.uncRule") }]}
          >
            <Input inputMode="decimal" suffix="UNC" placeholder={t("estimate.optional")} />
          </Form.Item>
        </Col>
        <Col xs={24} sm={12}>
          <Form.Item name="max_hours" label={t("estimate.maxHours")} extra={t("estimate.maxHoursHint")}>
            <InputNumber min={0.01} max={100_000} placeholder={t("estimate.optional")} style={{ width: "100%" }} />
          </Form.Item>
        </Col>
      </Row>
    </>
  );
}
