import { api, ok, type Schemas } from "@shared/api/client";
import { FormDialog } from "@shared/ui/FormDialog";
import { useShowOnce } from "@shared/ui/ShowOnce";
import { Flex, Form, Input, InputNumber } from "antd";
import { useTranslation } from "react-i18next";
import { GrantField } from "./GrantField";
import { MembershipFields } from "./UsersDialogs";

/** Makes an invitation, and shows its link once. */
export function InvitationDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const showOnce = useShowOnce();
  return (
    <FormDialog<Schemas["InvitationCreate"], Schemas["InvitationCreated"]>
      title={t("invitations.create")}
      name="invitation"
      open={open}
      onClose={onClose}
      initialValues={{ email: "", roles: ["renter"], group_ids: [], grant: "0", expires_in_days: 7 }}
      submit={(body) => ok(api.POST("/api/v1/invitations", { body }))}
      onDone={({ url }) =>
        showOnce({
          title: t("invitations.linkOnce"),
          hint: t("invitations.linkOnceHint"),
          label: t("invitations.link"),
          text: url,
        })
      }
    >
      <Form.Item label={t("users.email")} name="email" extra={t("invitations.emailHint")}>
        <Input inputMode="email" maxLength={254} autoFocus />
      </Form.Item>
      <MembershipFields />
      <Flex gap="middle" wrap>
        <GrantField label={t("invitations.grant")} />
        <Form.Item label={t("invitations.days")} name="expires_in_days">
          <InputNumber min={1} max={90} precision={0} style={{ width: 160 }} />
        </Form.Item>
      </Flex>
    </FormDialog>
  );
}
