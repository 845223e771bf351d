import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { Unc, When } from "@shared/ui/bits";
import { Filter } from "@shared/ui/Filter";
import { FormDialog } from "@shared/ui/FormDialog";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { App, Button, Form, Input, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { GrantField } from "./GrantField";
import { MembershipFields } from "./UsersDialogs";

type Application = Schemas["ApplicationOut"];
type Status = Schemas["ApplicationStatus"];
const COLOURS: Record<Status, string> = { waiting: "gold", approved: "green", rejected: "red" };
const STATUSES = Object.keys(COLOURS) as Status[];

/** Who asks for an account; an operator approves with a first grant of machine hours, or rejects with a reason. */
export function Applications() {
  const { t } = useTranslation();
  const [status, setStatus] = useAddress<Status>("status");
  const [approving, setApproving] = useState<Application>();
  const [rejecting, setRejecting] = useState<Application>();

  const columns: Column<Application>[] = [
    {
      title: t("applications.applicant"),
      dataIndex: "username",
      sort: "username",
      render: (username, row) => (
        <>
          <Typography.Text strong>{username}</Typography.Text>
          <Typography.Text type="secondary" className="reason">
            {[row.display_name, row.email].filter(Boolean).join(" · ")}
          </Typography.Text>
        </>
      ),
    },
    {
      title: t("applications.note"),
      dataIndex: "note",
      render: (note) =>
        note ? (
          <span className="reason prose" style={{ maxWidth: 300 }}>
            {note}
          </span>
        ) : (
          "–"
        ),
    },
    {
      title: t("common.status"),
      dataIndex: "status",
      render: (value: Status) => <Tag color={COLOURS[value]}>{t(`applicationStatus.${value}`)}</Tag>,
    },
    {
      title: t("applications.applied"),
      dataIndex: "created_at",
      sort: "created_at",
      render: (at, { ip }) => (
        <>
          <When at={at} />
          <Typography.Text type="secondary" className="reason">
            {ip}
          </Typography.Text>
        </>
      ),
    },
    {
      title: t("applications.decided"),
      key: "decided",
      render: (_, row) => (row.decided_at ? <Decision application={row} /> : "–"),
    },
    {
      key: "actions",
      render: (_, row) =>
        row.status === "waiting" && (
          <span className="tags">
            <Button size="small" type="primary" onClick={() => setApproving(row)}>
              {t("applications.approve")}
            </Button>
            <Button size="small" danger onClick={() => setRejecting(row)}>
              {t("applications.reject")}
            </Button>
          </span>
        ),
    },
  ];
  return (
    <>
      <ListPage
        title={t("menu.applications")}
        about={t("applications.about")}
        queryKey={["applications", { status }]}
        load={(query) => ok(api.GET("/api/v1/applications", { params: { query: { ...query, status } } }))}
        columns={columns}
        rowKey={(row) => row.id}
        filtered={Boolean(status)}
        filters={
          <Filter
            label={t("common.status")}
            value={status}
            onChange={setStatus}
            options={STATUSES.map((value) => ({ value, label: t(`applicationStatus.${value}`) }))}
          />
        }
        file={{ path: "/api/v1/applications", query: { status } }}
        empty={t("applications.empty")}
      />
      <ApproveDialog application={approving} onClose={() => setApproving(undefined)} />
      <RejectDialog application={rejecting} onClose={() => setRejecting(undefined)} />
    </>
  );
}

function Decision({ application }: { application: Application }) {
  const { t } = useTranslation();
  const granted = application.status === "approved" && Number(application.grant) > 0;
  return (
    <>
      <When at={application.decided_at} />
      <br />
      {t("applications.decidedBy", { name: application.decided_by })}
      {granted && (
        <>
          {" · "}
          <Unc value={application.grant} />
        </>
      )}
      {application.reason && (
        <Typography.Text type="secondary" className="reason" style={{ maxWidth: 220 }}>
          {application.reason}
        </Typography.Text>
      )}
    </>
  );
}

interface DialogProps {
  application: Application | undefined;
  onClose: () => void;
}

function ApproveDialog({ application, onClose }: DialogProps) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const username = application?.username;
  return (
    <FormDialog<Schemas["ApplicationApprove"], Application>
      title={t("applications.approveOf", { username })}
      name="approve"
      open={Boolean(application)}
      onClose={onClose}
      okText={t("applications.approve")}
      initialValues={{ grant: "10", roles: ["renter"], group_ids: [], note: "" }}
      submit={(body) =>
        ok(
          api.POST("/api/v1/applications/{application_id}/approve", {
            params: { path: { application_id: application?.id ?? "" } },
            body,
          }),
        )
      }
      onDone={(done) => message.success(t("applications.approved", { username: done.username }))}
      intro={
        application?.note && (
          <Typography.Paragraph className="prose">
            <blockquote style={{ margin: 0 }}>{application.note}</blockquote>
          </Typography.Paragraph>
        )
      }
    >
      <GrantField label={t("applications.grant")} />
      <MembershipFields />
      <Form.Item label={t("applications.approveNote")} name="note" extra={t("applications.approveNoteHint")}>
        <Input maxLength={2000} />
      </Form.Item>
    </FormDialog>
  );
}

function RejectDialog({ application, onClose }: DialogProps) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const username = application?.username;
  return (
    <FormDialog<{ reason: string }, Application>
      title={t("applications.rejectOf", { username })}
      name="reject"
      open={Boolean(application)}
      onClose={onClose}
      okText={t("applications.reject")}
      danger
      submit={(body) =>
        ok(
          api.POST("/api/v1/applications/{application_id}/reject", {
            params: { path: { application_id: application?.id ?? "" } },
            body,
          }),
        )
      }
      onDone={(done) => message.success(t("applications.rejected", { username: done.username }))}
    >
      <Form.Item
        label={t("applications.reason")}
        name="reason"
        extra={t("applications.reasonHint")}
        rules={[{ required: true, whitespace: true, message: t("common.required") }]}
      >
        <Input.TextArea rows={3} maxLength={500} showCount autoFocus />
      </Form.Item>
    </FormDialog>
  );
}
