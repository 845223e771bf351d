import { api, ok, type Schemas } from "@shared/api/client";
import { Estimate } from "@shared/money/Estimate";
import { PayerFields, useMyGroups } from "@shared/money/PayerFields";
import { useAgreedPrice } from "@shared/money/price";
import { RatingOf } from "@shared/money/RatingOf";
import { Quantities, Simulated, Unc } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import {
  App,
  Collapse,
  Empty,
  Form,
  Input,
  InputNumber,
  type InputNumberProps,
  Radio,
  Skeleton,
  Tag,
  Typography,
  theme,
} from "antd";
import { useCallback, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { type Offer, useOffers } from "./offers";

interface Values {
  name: string;
  algorithm_id?: string;
  image_id: string;
  dataset_id?: string;
  /** `pool id/spec id`. */
  offer: string;
  payer: "user" | "group";
  group_id?: string;
  max_cost?: string;
  max_hours?: number;
  tasks: number;
}

export function CreateNotebook({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const required = [{ required: true, message: t("common.required") }];
  const groups = useMyGroups();
  const offers = useOffers(open);
  const agreed = useAgreedPrice();
  const submit = ({ offer, ...values }: Values) => {
    const [pool_id = "", spec_id = ""] = offer.split("/");
    const wish = { description: "", start: true, ...values, max_cost: values.max_cost || null, pool_id, spec_id };
    const shown = offers?.find(({ key }) => key === offer)?.price ?? "0";
    return agreed(shown, (expected_price) => ok(api.POST("/api/v1/notebooks", { body: { ...wish, expected_price } })));
  };
  return (
    <FormDialog<Values, Schemas["NotebookOut"]>
      title={t("notebooks.create")}
      name="create-notebook"
      width={720}
      open={open}
      onClose={onClose}
      initialValues={{ tasks: 1, payer: "user" }}
      rename={{ pool_id: "offer", spec_id: "offer" }}
      submit={submit}
      onDone={(notebook) => message.success(t("notebooks.created", { name: notebook.name }))}
    >
      <Form.Item label={t("common.name")} name="name" rules={required}>
        <Input autoFocus maxLength={64} />
      </Form.Item>
      <Form.Item label={t("common.algorithm")} name="algorithm_id" extra={t("notebooks.algorithmHint")}>
        <LoadedSelect
          allowClear
          queryKey="algorithms"
          placeholder={t("notebooks.choose")}
          load={(query) => ok(api.GET("/api/v1/algorithms", { params: { query } }))}
          option={assetOption(t("notebooks.notReady"))}
          notFoundContent={<Link to="/algorithms?create=1">{t("assets.algorithms.create")}</Link>}
        />
      </Form.Item>
      <Form.Item label={t("common.image")} name="image_id" rules={required}>
        <LoadedSelect
          queryKey="images"
          placeholder={t("notebooks.choose")}
          load={(query) => ok(api.GET("/api/v1/images", { params: { query } }))}
          option={(image) => ({ value: image.id, label: image.name, disabled: !image.jupyter })}
          notFoundContent={t("images.empty")}
        />
      </Form.Item>
      <Form.Item label={t("common.dataset")} name="dataset_id" extra={t("notebooks.datasetHint")}>
        <LoadedSelect
          allowClear
          queryKey="datasets"
          placeholder={t("notebooks.none")}
          load={(query) => ok(api.GET("/api/v1/datasets", { params: { query } }))}
          option={assetOption(t("notebooks.notReady"))}
        />
      </Form.Item>
      <Form.Item label={t("common.spec")} name="offer" rules={required}>
        <OfferChoice />
      </Form.Item>
      <PayerFields groups={groups} />
      <Advanced />
      <NotebookEstimate />
    </FormDialog>
  );
}

/** What few need. Opens by itself when something in it is wrong. */
function Advanced() {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const show = useCallback(() => setOpen(true), []);
  return (
    <Collapse
      size="small"
      style={{ marginBottom: 16 }}
      activeKey={open ? "advanced" : []}
      onChange={(keys) => setOpen(keys.length > 0)}
      items={[
        {
          key: "advanced",
          label: t("notebooks.advanced"),
          forceRender: true,
          children: (
            <Form.Item
              label={t("notebooks.tasks")}
              name="tasks"
              extra={t("notebooks.tasksHint")}
              rules={[{ required: true, message: t("common.required") }]}
              style={{ marginBottom: 0 }}
            >
              <Tasks onWrong={show} />
            </Form.Item>
          ),
        },
      ]}
    />
  );
}

function Tasks({ onWrong, ...field }: InputNumberProps<number> & { onWrong: () => void }) {
  const { status } = Form.Item.useStatus();
  useEffect(() => {
    if (status === "error") onWrong();
  }, [status, onWrong]);
  return <InputNumber {...field} min={1} max={32} precision={0} />;
}

const assetOption = (notReady: string) => (asset: Schemas["AssetOut"]) => ({
  value: asset.id,
  label: asset.latest ? `${asset.name} · v${asset.latest.number}` : `${asset.name} · ${notReady}`,
  disabled: !asset.latest,
});

/** Cards to choose from: which specification in which pool, what it costs, how many are free now. */
function OfferChoice({ value, onChange }: { value?: string; onChange?: (key: string) => void }) {
  const { t } = useTranslation();
  const { token } = theme.useToken();
  const offers = useOffers();
  if (!offers) return <Skeleton active paragraph={{ rows: 2 }} />;
  if (offers.length === 0) return <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t("notebooks.noOffers")} />;
  const manyMiners = new Set(offers.map(({ pool }) => pool.miner_id)).size > 1;
  return (
    <Radio.Group
      aria-label={t("common.spec")}
      value={value}
      onChange={(event) => onChange?.(event.target.value)}
      style={{ display: "flex", flexDirection: "column", gap: 8, maxHeight: 320, overflow: "auto" }}
    >
      {offers.map((offer) => (
        <Radio
          key={offer.key}
          value={offer.key}
          disabled={!offer.at_best}
          style={{
            border: `1px solid ${offer.key === value ? token.colorPrimary : token.colorBorder}`,
            background: offer.key === value ? token.colorPrimaryBg : undefined,
            borderRadius: token.borderRadius,
            padding: "10px 12px",
            margin: 0,
          }}
        >
          <span className="tags">
            <Typography.Text strong>{offer.name}</Typography.Text>
            <Simulated when={offer.simulated} />
            <Unc value={offer.price} perHour strong />
            <Room offer={offer} />
          </span>
          <br />
          <span className="tags" style={{ marginTop: 6 }}>
            <Quantities items={offer.items} />
            <Typography.Text type="secondary">
              {t("common.pool")}: {offer.pool.name}
              {manyMiners && ` · ${t("notebooks.ofMiner", { name: offer.pool.miner_name })}`}
            </Typography.Text>
          </span>
        </Radio>
      ))}
    </Radio.Group>
  );
}

/** How many could start now; none: whether it is worth waiting. */
function Room({ offer }: { offer: Offer }) {
  const { t } = useTranslation();
  const [color, text] = offer.free_now
    ? ["green", t("notebooks.freeNow", { count: offer.free_now })]
    : offer.at_best
      ? ["gold", t("notebooks.noneFree")]
      : [undefined, t("notebooks.neverFits")];
  return (
    <Tag color={color} style={{ marginInlineEnd: 0 }}>
      {text}
    </Tag>
  );
}

/** What a start as the form stands now would cost. */
function NotebookEstimate() {
  const { t } = useTranslation();
  const form = Form.useFormInstance<Values>();
  const { offer, tasks, payer, group_id, max_cost, max_hours } = Form.useWatch([], form) ?? ({} as Partial<Values>);
  const [pool_id, spec_id] = offer?.split("/") ?? [];
  if (!pool_id || !spec_id) return null;
  return (
    <>
      <div style={{ marginBottom: 8 }}>
        {t("rating.ofPool")} <RatingOf pool_id={pool_id} />
      </div>
      <Estimate
        wish={{ pool_id, spec_id, kind: "notebook", tasks: tasks || 1, payer, group_id, max_cost, max_hours }}
      />
    </>
  );
}
