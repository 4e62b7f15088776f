"""Honours opt-outs: who said no to marketing is not sent to this tool at all, and where tracking for
advertising is off, the device's advertising id goes."""


def transformEvent(event, metadata):
    context = event.get("context") or {}
    traits = {**(context.get("traits") or {}), **(event.get("traits") or {})}
    if traits.get("marketing_opt_out") is True or traits.get("unsubscribed") is True:
        return None
    device = context.get("device") or {}
    if device.get("adTrackingEnabled") is False:
        device.pop("advertisingId", None)
        device.pop("idfa", None)
    return event
