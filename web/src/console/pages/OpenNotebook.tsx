import { api, ok, type Schemas } from "@shared/api/client";
import { said } from "@shared/i18n/said";
import { StateTag } from "@shared/ui/bits";
import { useAct } from "@shared/ui/feedback";
import { useQuery } from "@tanstack/react-query";
import { Button, Flex, Modal, Skeleton, Typography } from "antd";
import { useTranslation } from "react-i18next";

type Replica = Schemas["ReplicaOut"];

/** The floating window: choose a subtask; its JupyterLab opens in a new tab. */
export function OpenNotebook({ id, onClose }: { id: string | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  const act = useAct();
  const { data } = useQuery({
    queryKey: ["notebooks", id],
    queryFn: () => ok(api.GET("/api/v1/notebooks/{notebook_id}", { params: { path: { notebook_id: id as string } } })),
    enabled: Boolean(id),
  });

  const open = (replica: Replica) => {
    // The tab is opened within the click, or a popup blocker would stop it; its address follows.
    const tab = window.open("about:blank", "_blank");
    if (tab) tab.opener = null;
    void act(async () => {
      try {
        const { url } = await ok(
          api.POST("/api/v1/notebooks/{notebook_id}/open", {
            params: { path: { notebook_id: id as string } },
            body: { replica_id: replica.id },
          }),
        );
        if (tab) tab.location.replace(url);
        else window.location.assign(url);
      } catch (error) {
        tab?.close();
        throw error;
      }
    });
  };

  return (
    <Modal
      title={t("notebooks.openTitle", { name: data?.name ?? "" })}
      open={Boolean(id)}
      onCancel={onClose}
      footer={null}
      destroyOnHidden
    >
      <Typography.Paragraph type="secondary">{t("notebooks.openHint")}</Typography.Paragraph>
      {!data && <Skeleton active />}
      <Flex vertical gap="small" role="list">
        {data?.replicas.map((replica) => (
          <Flex key={replica.id} role="listitem" justify="space-between" align="center" gap="small">
            <div>
              <span className="tags">
                <Typography.Text strong>{replica.subtask}</Typography.Text>
                <StateTag state={replica.state} />
                {replica.node && <Typography.Text type="secondary">{replica.node}</Typography.Text>}
              </span>
              {replica.reason && (
                <Typography.Text type="secondary" className="reason">
                  {said(replica.reason)}
                </Typography.Text>
              )}
            </div>
            <Button type="primary" disabled={!replica.can_open} onClick={() => open(replica)}>
              {t("common.open")}
            </Button>
          </Flex>
        ))}
      </Flex>
    </Modal>
  );
}
