import { App, Button, Form, Input, Rate, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { formatExact } from "../format";
import { queryClient } from "../query";
import { useSession } from "../session";
import { Refused, useSending } from "../ui/sending";
import { Stars } from "./bits";

type Order = Schemas["OrderDetail"];

/** What the renter thinks of a settled order: he may say it, others read it. */
export function Rating({ order }: { order: Order }) {
  const { t } = useTranslation();
  const { user } = useSession();
  const mine = order.owner_id === user.id;
  // The server decides; a page that was open over the last minute gets its refusal.
  const [now] = useState(Date.now);
  const inTime = order.rate_until !== null && now < Date.parse(order.rate_until);
  return (
    <section>
      <Typography.Title level={5}>{t(mine ? "rating.title" : "rating.of")}</Typography.Title>
      {mine && inTime ? (
        <RatingForm order={order} />
      ) : order.stars ? (
        <>
          <Stars value={order.stars} />
          <div className="prose">{order.comment}</div>
        </>
      ) : (
        <Typography.Text type="secondary">
          {t(!mine ? "rating.none" : order.state === "open" ? "rating.open" : "rating.over")}
        </Typography.Text>
      )}
    </section>
  );
}

function RatingForm({ order }: { order: Order }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [form] = Form.useForm<Schemas["RatingCreate"]>();
  const save = async (body: Schemas["RatingCreate"]) => {
    await ok(api.POST("/api/v1/orders/{order_id}/rating", { params: { path: { order_id: order.id } }, body }));
    message.success(t("rating.saved"));
    void queryClient.invalidateQueries();
  };
  const { busy, lines, ...events } = useSending(form, "rating", save);
  return (
    <Form
      form={form}
      name="rating"
      layout="vertical"
      initialValues={{ stars: order.stars ?? undefined, comment: order.comment }}
      style={{ maxWidth: 560 }}
      {...events}
    >
      <Form.Item name="stars" label={t("rating.stars")} rules={[{ required: true, message: t("common.required") }]}>
        <Rate aria-label={t("rating.stars")} allowClear={false} />
      </Form.Item>
      <Form.Item name="comment" label={t("rating.comment")} extra={t("rating.commentHint")}>
        <Input.TextArea rows={2} maxLength={2000} />
      </Form.Item>
      <Refused lines={lines} />
      <span className="tags">
        <Button htmlType="submit" loading={busy}>
          {t("rating.save")}
        </Button>
        {order.rate_until && (
          <Typography.Text type="secondary">{t("rating.until", { at: formatExact(order.rate_until) })}</Typography.Text>
        )}
      </span>
    </Form>
  );
}
