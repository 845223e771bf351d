import { api, MAX_ROWS, ok, type Schemas } from "@shared/api/client";
import { useResourceName } from "@shared/ui/bits";
import { useQuery } from "@tanstack/react-query";
import { Form, Input, Select, type SelectProps, Tag, Tooltip } from "antd";
import { useTranslation } from "react-i18next";

export const SHARED_MEMORY = "shared-memory";
const query = { limit: MAX_ROWS };

/** On how many nodes it fits: right now, when they are empty, and never. */
export function Fit({ fit }: { fit: Schemas["SpecFit"] }) {
  const { t } = useTranslation();
  return (
    <Tooltip title={t("specs.fitHint")}>
      <span className="tags" tabIndex={0}>
        <Tag color={fit.now ? "green" : "default"} style={{ marginInlineEnd: 0 }}>
          {t("specs.fitNow", { count: fit.now })}
        </Tag>
        <Tag color={fit.at_best ? "blue" : "red"} style={{ marginInlineEnd: 0 }}>
          {t("specs.fitBest", { count: fit.at_best })}
        </Tag>
        {fit.never > 0 && <Tag style={{ marginInlineEnd: 0 }}>{t("specs.fitNever", { count: fit.never })}</Tag>}
      </span>
    </Tooltip>
  );
}

/** All that a specification may hold: what the nodes have, and one's own names for it. */
export function ResourceSelect(props: Omit<SelectProps, "options">) {
  const { t } = useTranslation();
  const name = useResourceName();
  const system = useQuery({
    queryKey: ["system-resources", "all"],
    queryFn: () => ok(api.GET("/api/v1/system-resources", { params: { query } })),
  });
  const custom = useQuery({
    queryKey: ["custom-resources", "all"],
    queryFn: () => ok(api.GET("/api/v1/custom-resources", { params: { query } })),
  });
  const plain = (system.data?.items ?? []).map((row) => row.name);
  const names = plain.includes("memory") ? [...plain, SHARED_MEMORY] : plain;
  return (
    <Select
      {...props}
      showSearch={{ optionFilterProp: "label" }}
      loading={system.isPending}
      options={[
        {
          label: t("resources.custom"),
          options: (custom.data?.items ?? []).map((row) => ({ value: row.name, label: row.name })),
        },
        { label: t("resources.system"), options: names.map((value) => ({ value, label: name(value) })) },
      ].filter((group) => group.options.length > 0)}
    />
  );
}

export const UNC_RULE = /^\d{1,10}(\.\d{1,6})?$/;

export function PriceField({
  extra,
  placeholder,
  optional,
}: {
  extra?: React.ReactNode;
  placeholder?: string;
  optional?: boolean;
}) {
  const { t } = useTranslation();
  return (
    <Form.Item
      label={t("specs.price")}
      name="price"
      extra={extra}
      rules={[
        { required: !optional, message: t("common.required") },
        { pattern: UNC_RULE, message: t("common.uncRule") },
      ]}
    >
      <Input inputMode="decimal" placeholder={placeholder ?? "1.5"} suffix="UNC" style={{ maxWidth: 220 }} />
    </Form.Item>
  );
}
