import { api, ok } from "@shared/api/client";
import { useAct, useConfirm } from "@shared/ui/feedback";
import { Button, Dropdown, type MenuProps } from "antd";
import { DownOutlined } from "@ant-design/icons";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { CordonDialog, DrainDialog, MoveDialog } from "./NodesDialogs";
import type { Node } from "./NodesParts";

type Dialog = "cordon" | "drain" | "move";
const DIALOGS = { cordon: CordonDialog, drain: DrainDialog, move: MoveDialog };
const path = (node: Node) => ({ params: { path: { node_id: node.id } } });
const resting = (node: Node) => node.cordoned || Boolean(node.drain_at || node.moving_to);

function useUncordon() {
  const { t } = useTranslation();
  const act = useAct();
  return (nodes: Node[]) =>
    act(
      () => Promise.all(nodes.map((node) => ok(api.POST("/api/v1/nodes/{node_id}/uncordon", path(node))))),
      t("nodes.uncordonDone", { names: nodes.map((node) => node.name).join(", ") }),
    );
}

/** What can be done with several nodes at once. */
export function BulkActions({ nodes, onDone }: { nodes: Node[]; onDone: () => void }) {
  const { t } = useTranslation();
  const uncordon = useUncordon();
  const [dialog, setDialog] = useState<Dialog>();
  const Chosen = dialog && DIALOGS[dialog];
  return (
    <>
      <Button onClick={() => setDialog("cordon")}>{t("nodes.cordon")}</Button>
      <Button disabled={!nodes.some(resting)} onClick={() => uncordon(nodes.filter(resting)).then(onDone)}>
        {t("nodes.uncordon")}
      </Button>
      <Button onClick={() => setDialog("drain")}>{t("nodes.drain")}</Button>
      <Button onClick={() => setDialog("move")}>{t("nodes.move")}</Button>
      {Chosen && <Chosen nodes={nodes} onClose={() => setDialog(undefined)} />}
    </>
  );
}

/** What can be done with one node; what is asked for most is a button of its own. */
export function NodeActions({ node }: { node: Node }) {
  const { t } = useTranslation();
  const act = useAct();
  const confirm = useConfirm();
  const uncordon = useUncordon();
  const [dialog, setDialog] = useState<Dialog>();
  const Chosen = dialog && DIALOGS[dialog];

  const restore = () =>
    act(() => ok(api.POST("/api/v1/nodes/{node_id}/restore", path(node))), t("nodes.restored", { name: node.name }));
  if (node.status === "removed")
    return (
      <Button type="primary" onClick={restore}>
        {t("nodes.restore")}
      </Button>
    );

  const dead = node.status === "lost" || node.status === "gone";
  const remove = () =>
    confirm({
      title: t("nodes.removeAsk", { name: node.name }),
      content: (
        <>
          <p>{t("nodes.removeAbout")}</p>
          {dead && node.replicas > 0 && <p>{t("nodes.removeDead", { count: node.replicas })}</p>}
        </>
      ),
      okText: t("nodes.remove"),
      action: () => ok(api.DELETE("/api/v1/nodes/{node_id}", path(node))),
      done: t("nodes.removed", { name: node.name }),
    });
  const items: MenuProps["items"] = [
    { key: "move", label: t("nodes.moveDots"), onClick: () => setDialog("move") },
    { key: "remove", label: t("nodes.removeDots"), danger: true, onClick: remove },
  ];
  return (
    <span className="tags">
      {resting(node) && (
        <Button type="primary" onClick={() => uncordon([node])}>
          {t("nodes.uncordon")}
        </Button>
      )}
      {!node.cordoned && <Button onClick={() => setDialog("cordon")}>{t("nodes.cordon")}</Button>}
      {!node.drain_at && <Button onClick={() => setDialog("drain")}>{t("nodes.drain")}</Button>}
      <Dropdown trigger={["click"]} menu={{ items }}>
        <Button>
          {t("common.more")} <DownOutlined aria-hidden />
        </Button>
      </Dropdown>
      {Chosen && <Chosen nodes={[node]} onClose={() => setDialog(undefined)} />}
    </span>
  );
}
