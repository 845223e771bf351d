import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { GroupTags, RoleTags } from "@shared/people/tags";
import { Unc, When } from "@shared/ui/bits";
import { Filter } from "@shared/ui/Filter";
import { useConfirm } from "@shared/ui/feedback";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { Button, Tag } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { InvitationDialog } from "./InvitationDialog";

type Invitation = Schemas["InvitationOut"];
type Status = Schemas["InvitationStatus"];
const COLOURS: Record<Status, string | undefined> = {
  open: "green",
  accepted: "blue",
  revoked: "red",
  expired: undefined,
};
const STATUSES = Object.keys(COLOURS) as Status[];

/** Links that make their holders users. Each is shown once, when it is made. */
export function Invitations() {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const [status, setStatus] = useAddress<Status>("status");
  const [creating, setCreating] = useState(false);

  const columns: Column<Invitation>[] = [
    { title: t("invitations.code"), dataIndex: "hint", render: (hint) => <code>{hint}…</code> },
    {
      title: t("invitations.for"),
      dataIndex: "email",
      sort: "email",
      render: (email) => <span className="long">{email || t("invitations.anyone")}</span>,
    },
    {
      title: t("common.status"),
      dataIndex: "status",
      render: (value: Status) => <Tag color={COLOURS[value]}>{t(`invitationStatus.${value}`)}</Tag>,
    },
    {
      title: t("invitations.acceptedBy"),
      dataIndex: "username",
      render: (username) => username || "–",
    },
    { title: t("users.roles"), dataIndex: "roles", render: (roles) => <RoleTags roles={roles} /> },
    {
      title: t("menu.groups"),
      dataIndex: "groups",
      render: (groups: Invitation["groups"]) => (groups.length ? <GroupTags groups={groups} /> : "–"),
    },
    {
      title: t("invitations.grant"),
      dataIndex: "grant",
      align: "right",
      render: (grant) => (Number(grant) > 0 ? <Unc value={grant} /> : "–"),
    },
    { title: t("invitations.by"), dataIndex: "created_by" },
    { title: t("common.created"), dataIndex: "created_at", sort: "created_at", render: (at) => <When at={at} /> },
    { title: t("invitations.expires"), dataIndex: "expires_at", sort: "expires_at", render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, invitation) =>
        invitation.status === "open" && (
          <Button
            size="small"
            danger
            onClick={() =>
              confirm({
                title: t("invitations.revokeAsk", { hint: invitation.hint }),
                content: t("invitations.revokeHint"),
                okText: t("invitations.revoke"),
                action: () =>
                  ok(
                    api.DELETE("/api/v1/invitations/{invitation_id}", {
                      params: { path: { invitation_id: invitation.id } },
                    }),
                  ),
              })
            }
          >
            {t("invitations.revoke")}
          </Button>
        ),
    },
  ];
  return (
    <>
      <ListPage
        title={t("menu.invitations")}
        about={t("invitations.about")}
        queryKey={["invitations", { status }]}
        load={(query) => ok(api.GET("/api/v1/invitations", { params: { query: { ...query, status } } }))}
        columns={columns}
        rowKey={(invitation) => invitation.id}
        extra={
          <Button type="primary" onClick={() => setCreating(true)}>
            {t("invitations.create")}
          </Button>
        }
        filtered={Boolean(status)}
        filters={
          <Filter
            label={t("common.status")}
            value={status}
            onChange={setStatus}
            options={STATUSES.map((value) => ({ value, label: t(`invitationStatus.${value}`) }))}
          />
        }
        file={{ path: "/api/v1/invitations", query: { status } }}
        empty={t("invitations.empty")}
      />
      <InvitationDialog open={creating} onClose={() => setCreating(false)} />
    </>
  );
}
