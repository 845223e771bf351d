import { useQuery } from "@tanstack/react-query";
import { Button, Empty, Flex, Modal, Skeleton, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok } from "../api/client";
import { Moment, Unc } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";

/** A button that shows which prices a specification had. */
export function PriceHistory({ spec, link }: { spec: { id: string; name: string }; link?: boolean }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button
        size="small"
        type={link ? "link" : "default"}
        style={{ padding: link ? 0 : undefined }}
        onClick={() => setOpen(true)}
      >
        {t("prices.button")}
      </Button>
      <Modal
        title={t("prices.title", { spec: spec.name })}
        open={open}
        onCancel={() => setOpen(false)}
        footer={null}
        destroyOnHidden
      >
        {open && <Prices id={spec.id} />}
      </Modal>
    </>
  );
}

function Prices({ id }: { id: string }) {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery({
    queryKey: ["specs", id, "prices"],
    queryFn: () => ok(api.GET("/api/v1/specs/{spec_id}/prices", { params: { path: { spec_id: id } } })),
  });
  if (error && !data) return <ErrorCard error={error} retry={refetch} />;
  if (!data) return <Skeleton active title={false} />;
  if (data.items.length === 0) return <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t("prices.empty")} />;
  return (
    <>
      <Typography.Text type="secondary">{t("prices.about")}</Typography.Text>
      <ul className="lines">
        {data.items.map((one, index) => (
          <li key={one.since}>
            <Flex justify="space-between" gap="small" wrap>
              <span className="tags">
                <Unc value={one.price} perHour strong={index === 0} />
                {index === 0 && <Tag color="green">{t("prices.now")}</Tag>}
              </span>
              <Typography.Text type="secondary">
                <Moment at={one.since} />
                {one.by && ` · ${one.by}`}
              </Typography.Text>
            </Flex>
          </li>
        ))}
      </ul>
    </>
  );
}
