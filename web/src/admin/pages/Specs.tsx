import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { formatUnc, parseUnc } from "@shared/format";
import { useRole } from "@shared/session";
import { PriceHistory } from "@shared/money/PriceHistory";
import { Quantities, Simulated, Unc, When } from "@shared/ui/bits";
import { Filter } from "@shared/ui/Filter";
import { useConfirm } from "@shared/ui/feedback";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { MoreFilters } from "@shared/ui/MoreFilters";
import { Button, Flex, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { CreateSpec } from "./SpecsCreate";
import { EditSpec } from "./SpecsEdit";
import { Fit, ResourceSelect } from "./SpecsParts";
import { UnitPrices } from "./SpecsUnitPrices";

type Spec = Schemas["SpecOut"];

/** Specifications: named bundles of resources with a price. */
export function Specs() {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const operator = useRole();
  const [pool, setPool] = useAddress("pool");
  const [resource, setResource] = useAddress("resource");
  const [fit, setFit] = useAddress<"never">("fit");
  const [dialog, setDialog] = useState<"create" | "prices" | Spec>();
  const filter = { pool_id: pool, resource, never_fits: fit && true };
  const close = () => setDialog(undefined);

  const columns: Column<Spec>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sort: "name",
      render: (name, spec) => (
        <>
          <Typography.Text strong>{name}</Typography.Text>
          <Typography.Text type="secondary" className="reason">
            <Simulated when={spec.simulated} />{" "}
            {[operator && spec.miner_name, spec.description].filter(Boolean).map((text) => `${text} · `)}
            <When at={spec.created_at} />
          </Typography.Text>
        </>
      ),
    },
    {
      title: t("specs.contents"),
      dataIndex: "items",
      render: (items) => (
        <div style={{ maxWidth: 160 }}>
          <Quantities items={items} />
        </div>
      ),
    },
    {
      title: t("common.price"),
      dataIndex: "price",
      align: "right",
      sort: "price",
      render: (value: string, spec) => (
        <>
          <Unc value={value} perHour strong />
          {spec.suggested_price && parseUnc(spec.suggested_price) !== parseUnc(value) && (
            <Typography.Text type="secondary" className="reason">
              {t("specs.suggested", { price: formatUnc(spec.suggested_price) })}
            </Typography.Text>
          )}
          <div>
            <PriceHistory spec={spec} link />
          </div>
        </>
      ),
    },
    {
      title: t("specs.fit"),
      key: "fit",
      render: (_, { fit }) =>
        fit ? (
          <div style={{ maxWidth: 96 }}>
            <Fit fit={fit} />
          </div>
        ) : (
          "–"
        ),
    },
    {
      title: t("specs.pools"),
      dataIndex: "pools",
      render: (pools: Spec["pools"]) =>
        pools?.length ? (
          <span className="tags">
            {pools.map((one) => (
              <Tag key={one.id} style={{ marginInlineEnd: 0 }}>
                {one.name}
              </Tag>
            ))}
          </span>
        ) : (
          <Typography.Text type="secondary">{t("specs.nowhere")}</Typography.Text>
        ),
    },
    {
      title: t("specs.usedBy"),
      dataIndex: "used_by",
      align: "right",
      render: (count, spec) => (count ? <Link to={`/work?spec=${spec.id}`}>{count}</Link> : 0),
    },
    {
      key: "actions",
      render: (_, spec) => (
        <span className="tags">
          <Button size="small" onClick={() => setDialog(spec)}>
            {t("common.edit")}
          </Button>
          <Button
            size="small"
            danger
            onClick={() =>
              confirm({
                title: t("common.deleteAsk", { name: spec.name }),
                content: t("specs.deleteHint"),
                okText: t("common.delete"),
                action: () => ok(api.DELETE("/api/v1/specs/{spec_id}", { params: { path: { spec_id: spec.id } } })),
              })
            }
          >
            {t("common.delete")}
          </Button>
        </span>
      ),
    },
  ];
  return (
    <>
      <ListPage
        title={t("menu.specs")}
        about={t("specs.about")}
        queryKey={["specs", filter]}
        load={(query) => ok(api.GET("/api/v1/specs", { params: { query: { ...query, ...filter } } }))}
        columns={columns}
        rowKey={(spec) => spec.id}
        extra={
          <Flex gap="small">
            <Button onClick={() => setDialog("prices")}>{t("specs.unitPrices")}</Button>
            <Button type="primary" onClick={() => setDialog("create")}>
              {t("specs.create")}
            </Button>
          </Flex>
        }
        filtered={Boolean(pool || resource || fit)}
        filters={
          <MoreFilters set={[pool, resource, fit].filter(Boolean).length}>
            <LoadedSelect
              allowClear
              aria-label={t("common.pool")}
              placeholder={t("common.pool")}
              value={pool}
              onChange={setPool}
              style={{ minWidth: 150 }}
              queryKey="pools"
              load={(query) => ok(api.GET("/api/v1/pools", { params: { query: { ...query, role: "miner" } } }))}
              option={({ id, name }) => ({ value: id, label: name })}
            />
            <ResourceSelect
              allowClear
              aria-label={t("specs.resource")}
              placeholder={t("specs.resource")}
              value={resource}
              onChange={setResource}
              style={{ minWidth: 170 }}
            />
            <Filter
              label={t("nodes.fault")}
              value={fit}
              onChange={setFit}
              options={[{ value: "never", label: t("specs.fault") }]}
            />
          </MoreFilters>
        }
        file={{ path: "/api/v1/specs", query: filter }}
        empty={t("specs.empty")}
      />
      {dialog === "create" && <CreateSpec onClose={close} />}
      {dialog === "prices" && <UnitPrices onClose={close} />}
      {typeof dialog === "object" && <EditSpec spec={dialog} onClose={close} />}
    </>
  );
}
