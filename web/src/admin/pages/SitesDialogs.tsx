import { api, ok, type Schemas } from "@shared/api/client";
import { Copyable } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { Alert, Form, Input, Modal, Typography } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

type Created = Schemas["SiteCreated"];
const HERE = /^(localhost|.*\.localhost|127\.[\d.]+|\[::1\])$/;
const ELSEWHERE = "https://ADDRESS-OF-THIS-PLATFORM";

/** The one command that joins a server; its token is shown only now. From another server, loopback is itself. */
export function Join({ site, onClose }: { site: Created; onClose: () => void }) {
  const { t } = useTranslation();
  const here = HERE.test(window.location.hostname);
  const command = [
    "mkdir -p ~/.utcloud && (umask 077; echo",
    `${site.token} > ~/.utcloud/site-token) &&`,
    `UTCLOUD_SERVER_URL=${here ? ELSEWHERE : window.location.origin}`,
    "UTCLOUD_AGENT_TOKEN_FILE=~/.utcloud/site-token utcloud agent",
  ].join(" ");
  return (
    <Once title={t("sites.joinTitle", { name: site.name })} onClose={onClose}>
      <Typography.Paragraph>{t("sites.join")}</Typography.Paragraph>
      {here && (
        <Alert
          type="warning"
          showIcon
          style={{ marginBottom: 16 }}
          title={t("sites.loopback", { origin: window.location.origin, address: ELSEWHERE })}
        />
      )}
      <Copyable text={command} label={t("sites.command")} />
      <Alert type="info" showIcon style={{ marginTop: 16 }} title={t("sites.distantPages")} />
    </Once>
  );
}

/** The token that takes the place of the one before. */
export function NewToken({ site, onClose }: { site: Created; onClose: () => void }) {
  const { t } = useTranslation();
  const command = `(umask 077; echo ${site.token} > ~/.utcloud/site-token)`;
  return (
    <Once title={t("sites.rotatedTitle", { name: site.name })} onClose={onClose}>
      <Typography.Paragraph>{t("sites.rotated")}</Typography.Paragraph>
      <Copyable text={command} label={t("sites.rotateCommand")} />
    </Once>
  );
}

/** Something that is not shown again: it goes by its button alone. */
function Once({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const { t } = useTranslation();
  return (
    <Modal
      title={title}
      open
      onOk={onClose}
      closable={false}
      keyboard={false}
      cancelButtonProps={{ style: { display: "none" } }}
      okText={t("common.copied")}
      mask={{ closable: false }}
      width={640}
    >
      {children}
      <Alert type="warning" showIcon style={{ marginTop: 16 }} title={t("sites.tokenOnce")} />
    </Modal>
  );
}

/** For operators: where pages of a site may be, so that the edge goes there. */
export function Networks({ site, onClose }: { site?: Schemas["SiteOut"]; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <FormDialog<{ networks: string }, Schemas["SiteOut"]>
      title={t("sites.networksTitle", { name: site?.name })}
      name="networks"
      open={Boolean(site)}
      onClose={onClose}
      initialValues={{ networks: site?.networks.join("\n") }}
      submit={(body) =>
        ok(
          api.PUT("/api/v1/sites/{site_id}/networks", {
            params: { path: { site_id: site?.id ?? "" } },
            body: { networks: (body.networks ?? "").split(/[\s,]+/).filter(Boolean) },
          }),
        )
      }
    >
      <Form.Item label={t("sites.networks")} name="networks" extra={t("sites.networksHint")}>
        <Input.TextArea autoFocus rows={4} placeholder="10.244.0.0/16" />
      </Form.Item>
    </FormDialog>
  );
}
