import { api, ok, type Schemas } from "@shared/api/client";
import { useResourceName } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { FormDialog } from "@shared/ui/FormDialog";
import { useQuery } from "@tanstack/react-query";
import { App, Empty, Form, Input, Skeleton, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { UNC_RULE } from "./SpecsParts";

type Row = Schemas["UnitPriceOut"];

interface Values {
  prices: (string | undefined)[];
}

/** What an hour of one unit of each resource costs: the suggestion for every specification. */
export function UnitPrices({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const { data, error, refetch } = useQuery({
    queryKey: ["unit-prices"],
    queryFn: () => ok(api.GET("/api/v1/unit-prices")),
    // What is being typed stays as it is.
    refetchInterval: false,
    refetchOnWindowFocus: false,
  });
  const rows: Row[] = data?.items ?? [];
  return (
    <FormDialog<Values, unknown>
      key={data ? "loaded" : "loading"}
      title={t("specs.unitPrices")}
      name="unit-prices"
      open
      onClose={onClose}
      initialValues={{ prices: rows.map((row) => row.price ?? undefined) }}
      rename={Object.fromEntries(rows.map((_, index) => [`${index}.price`, `prices.${index}`]))}
      submit={({ prices }) => {
        const body = rows.map(({ resource }, index) => ({ resource, price: prices[index]?.trim() || null }));
        return ok(api.PUT("/api/v1/unit-prices", { body }));
      }}
      onDone={() => message.success(t("specs.unitPricesDone"))}
      intro={<Typography.Paragraph type="secondary">{t("specs.unitPricesAbout")}</Typography.Paragraph>}
    >
      {error && !data && <ErrorCard error={error} retry={refetch} />}
      {!data && !error && <Skeleton active />}
      {data?.items.length === 0 && (
        <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t("resources.systemEmpty")} />
      )}
      {rows.map((row, index) => (
        <UnitPrice key={row.resource} row={row} index={index} rows={rows} />
      ))}
    </FormDialog>
  );
}

function UnitPrice({ row, index, rows }: { row: Row; index: number; rows: Row[] }) {
  const { t } = useTranslation();
  const name = useResourceName();
  const prices = Form.useWatch<Values["prices"]>("prices");
  const base = rows.findIndex((one) => one.resource === row.system_resource);
  const inherited = row.system_resource !== row.resource ? prices?.[base] : undefined;
  const unit = t(`specs.unit.${row.unit as "core"}`);
  return (
    <Form.Item
      label={
        <span className="tags">
          {name(row.resource)}
          {row.system_resource !== row.resource && (
            <Typography.Text type="secondary">({row.system_resource})</Typography.Text>
          )}
        </span>
      }
      name={["prices", index]}
      extra={inherited && t("specs.inherited", { resource: row.system_resource })}
      rules={[{ pattern: UNC_RULE, message: t("common.uncRule") }]}
      style={{ marginBottom: 12 }}
    >
      <Input
        allowClear
        inputMode="decimal"
        placeholder={inherited ?? t("specs.noPrice")}
        suffix={t("specs.perUnit", { unit })}
        style={{ maxWidth: 300 }}
      />
    </Form.Item>
  );
}
